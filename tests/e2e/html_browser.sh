#!/bin/sh
# A real browser shows the page of similar --html: nothing scrolls sideways but tables, which the keyboard
# reaches, in a wide and a narrow window, light and dark; names are text there, too.
. "${VF_TESTS:-$(dirname "$0")/..}/e2e/_lib.sh"
requires chromium-headless-shell --version

cd "$vf_tmp" || exit
evil="<script>alert(1)<b> & 'q' with-a-long-name-that-has-no-place-to-break-$(printf '%080d' 0).raw"
vf_image "$evil" 1M seed=1
for i in 1 2 3 4 5 6; do
    cp "$evil" "guest$i<img src=x onerror=y>.raw"
    vf_put "guest$i<img src=x onerror=y>.raw" 256K "$((i * 64))K" "1$i"
    vf_expect_exit 0 "$VMFERRY" --store "store$i" index add "guest$i<img src=x onerror=y>.raw"
    vf_expect_exit 0 "$VMFERRY" node add "node$i" "$vf_tmp/store$i"
done
vf_expect_exit 0 "$VMFERRY" similar "$evil" --html page.html -q
vf_expect_exit 0 "$VMFERRY" similar --all --html all.html -q

# The pages have no script and forbid any: a copy gets one that measures.
for p in page all; do
    sed -e '/Content-Security-Policy/d' -e 's#</body>#<script src="measure.js"></script>&#' $p.html >$p.m.html
done
cat >measure.js <<'END'
var d = document.documentElement, all = document.querySelectorAll('.scroll,summary'), bad = 0;
d.dataset.over = Math.max(0, d.scrollWidth - innerWidth);
d.dataset.width = innerWidth;
document.querySelectorAll('details').forEach(function (e) { e.open = true; });
all.forEach(function (e) {
    e.focus({focusVisible: true});
    if (document.activeElement !== e || getComputedStyle(e).outlineStyle !== 'solid') bad++;
});
d.dataset.keys = all.length + ' ' + bad;
d.dataset.back = getComputedStyle(document.body).backgroundColor;
d.dataset.made = document.querySelectorAll('b,img,i').length;
END

# shot PAGE WIDTH [OPTION]: what the browser makes of it, in dom.
shot() {
    page=$1
    width=$2
    shift 2
    vf_expect_exit 0 timeout 60 chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$vf_tmp/browser" --window-size="$width,900" "$@" --dump-dom "file://$vf_tmp/$page"
    cp "$VF_OUT" dom
}
# has TEXT: in the element html.
has() { head -n 3 dom | grep -qF "$1" || fail "$page at $width: not $1: $(head -n 2 dom | cut -c 1-300)"; }

for p in page all; do
    for w in 1280 360; do
        shot $p.m.html $w
        has "data-width=\"$w\""
        has 'data-over="0"'
        has 'data-made="0"'
        grep -qE 'data-keys="[3-9] 0"' dom || fail "the keyboard does not reach all of $p"
        has 'data-back="rgb(255, 255, 255)"'
    done
    shot $p.m.html 1280 --blink-settings=preferredColorScheme=0
    has 'data-back="rgb(15, 19, 23)"'
done

# As it is: all is there, nothing ran.
shot page.html 1280
grep -qF '<h1>Where &lt;script&gt;alert(1)&lt;b&gt; &amp; ' dom || fail "the title is not there"
[ "$(grep -c '<script' dom)" = 1 ] || fail "scripts came into the page"
