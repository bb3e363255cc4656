# vmferry: build, test, install.        `make help` lists the targets.
#
# One makefile for the whole tree. Sources are found by wildcard, objects go
# to $(BUILD)/<mode>/, so several modes live side by side:
#
#   make                          mode release, the program is build/vmferry
#   make DEBUG=1                  mode debug, build/debug/vmferry
#   make SAN=address,undefined    sanitizers (also SAN=thread)
#   make CC=clang MODE=clang      another compiler in a mode of its own
#   make WERROR=1                 warnings are errors (as .ci/run does)
#   make BUILD=/some/where        another build directory
#   make FOLDERS="core cmd" check-unit     only the tests of these folders

BUILD   ?= build
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
DOCDIR  ?= $(PREFIX)/share/doc/vmferry
UNITDIR ?= $(PREFIX)/lib/systemd/system
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
LIB_FOLDERS := core formats index transport service hypervisor
FOLDERS ?= $(LIB_FOLDERS) cmd

# Seconds for each fuzz target of `make fuzz`, and for each test of `make check`.
FUZZ_SECONDS ?= 20
TEST_SECONDS ?= 120

comma := ,

# ---- modes ---------------------------------------------------------------
ifneq ($(SAN),)
MODE  ?= san-$(subst $(comma),-,$(SAN))
OPT   := -O1 -fno-omit-frame-pointer -fsanitize=$(SAN)
LDOPT := -fsanitize=$(SAN)
else ifneq ($(DEBUG),)
MODE  ?= debug
OPT   := -Og -fstack-protector-strong
else
MODE  ?= release
OPT   := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
OPT_HASH := -O3
endif

# A failed undefined-behaviour check must fail the test that ran into it.
ifneq ($(findstring undefined,$(SAN)),)
OPT   += -fno-sanitize-recover=undefined
endif

OUT := $(BUILD)/$(MODE)
BIN := $(if $(filter release,$(MODE)),$(BUILD),$(OUT))/vmferry

# ---- compiler ------------------------------------------------------------
WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes \
        -Wmissing-prototypes -Wwrite-strings -Wundef -Wformat=2 -Wcast-qual
ifneq ($(WERROR),)
WARN += -Werror
endif

PKGS := libcrypto libzstd libssh2 lmdb libqcow libnbd jansson inih libseccomp libsystemd \
        libvirt libxml-2.0
PKG_CONFIG ?= pkg-config
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
# --as-needed drops what is unused.
# librsync and the mathematical library have no pkg-config files.
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) -lrsync -lm

ALL_CFLAGS = -std=gnu17 -g $(OPT) -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. \
             $(WARN) -fno-common -fPIE -pthread $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -pthread -Wl,-z,relro,-z,now,--as-needed $(LDOPT) $(LDFLAGS)

# ---- sources -------------------------------------------------------------
LIB_SRC    := $(wildcard $(LIB_FOLDERS:%=%/*.c) $(LIB_FOLDERS:%=%/*/*.c))
CMD_SRC    := $(wildcard cmd/*.c cmd/*/*.c)
CHECK_SRC  := $(wildcard tests/lib/*.c)
# Unit tests: those of FOLDERS. What tests cmd is linked with its objects, too.
unit_src    = $(wildcard tests/$1/test_*.c tests/$1/*/test_*.c)
UNIT_SRC   := $(sort $(foreach f,$(FOLDERS),\
                $(or $(call unit_src,$f),$(error FOLDERS: there are no unit tests in tests/$f))))
CTEST_SRC  := $(filter tests/cmd/%,$(UNIT_SRC))
TEST_SRC   := $(filter-out $(CTEST_SRC),$(UNIT_SRC))
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC  := $(wildcard bench/bench_*.c)
TOOL_SRC   := $(wildcard tests/lab/*.c) bench/meter.c bench/mkpieces.c

obj = $(1:%.c=$(OUT)/%.o)

LIB        := $(OUT)/libvmferry.a
LIBCMD     := $(OUT)/libcmd.a
LIBCHECK   := $(OUT)/libcheck.a
TEST_BIN   := $(TEST_SRC:%.c=$(OUT)/%)
CTEST_BIN  := $(CTEST_SRC:%.c=$(OUT)/%)
FUZZ_BIN   := $(FUZZ_SRC:%.c=$(OUT)/%)
BENCH_BIN  := $(BENCH_SRC:bench/%.c=$(BUILD)/bench/%)
TOOL_BIN   := $(addprefix $(BUILD)/lab/,$(notdir $(TOOL_SRC:.c=)))
ALL_SRC    := $(LIB_SRC) $(CMD_SRC) $(CHECK_SRC) $(TEST_SRC) $(CTEST_SRC) \
              $(FUZZ_SRC) tests/fuzz/replay.c $(BENCH_SRC) $(TOOL_SRC)

UNIT_TESTS := $(TEST_BIN) $(CTEST_BIN)
CLI_TESTS  := $(wildcard tests/cli/[a-z0-9]*.sh)
E2E_TESTS  := $(wildcard tests/e2e/[a-z0-9]*.sh)
LINT_TESTS := $(wildcard tests/lint/[a-z0-9]*.sh)

RUN = VMFERRY="$(abspath $(BIN))" VF_LAB="$(abspath $(BUILD)/lab)" CC="$(CC)" \
      tests/run.sh -j $(JOBS) -t $(TEST_SECONDS) -o $(OUT)/logs
# test_check is left out there: its own failing checks leak by design.
VALGRIND = valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
           --show-leak-kinds=definite --suppressions=tests/lib/valgrind.supp
SUB = +@$(MAKE) --no-print-directory

# Without -j on the command line (which would win), use the machine. Sub-makes share its jobs.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: all setup demo check check-unit check-cli check-e2e check-san check-valgrind check-live \
        check-built fuzz fuzz-run fuzz-replay bench lab lint format format-check \
        install uninstall clean dist help tests-built FORCE

all: $(LIB) $(if $(wildcard cmd/main.c),$(BIN)) ## build the library and the program (default)

# ---- building ------------------------------------------------------------
# Every object depends on this file, which changes only when the flags do.
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@$(PKG_CONFIG) --print-errors --exists $(PKGS) || \
	    { echo "vmferry: packages are missing: run 'make setup'" >&2; exit 1; }
	@echo '$(CC) $(ALL_CFLAGS) $(OPT_HASH) $(ALL_LDFLAGS) $(PKG_LIBS)' > $@.$$$$ && \
	    { cmp -s $@.$$$$ $@ && rm -f $@.$$$$ || mv -f $@.$$$$ $@; }

$(OUT)/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(ALL_CFLAGS) $(OPT_HERE) -MMD -MP -c -o $@ $<

# The block hash is the hot loop of everything.
$(OUT)/core/hash/md5_%.o $(OUT)/core/hash/sha_%.o: OPT_HERE = $(OPT_HASH)

define archive
@mkdir -p $(@D)
@echo "  AR    $@"
@rm -f $@ $@.tmp && $(AR) rcs $@.tmp $(filter %.o,$^) && mv -f $@.tmp $@
endef

define link
@mkdir -p $(@D)
@echo "  LD    $@"
@$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS)
endef

$(LIB): $(call obj,$(LIB_SRC))
	$(archive)
$(LIBCHECK): $(call obj,$(CHECK_SRC))
	$(archive)
$(LIBCMD): $(call obj,$(filter-out cmd/main.c,$(CMD_SRC)))
	$(archive)

$(BIN): $(call obj,$(CMD_SRC)) $(LIB)
	$(link)
$(TEST_BIN): $(OUT)/%: $(OUT)/%.o $(LIBCHECK) $(LIB)
	$(link)
$(CTEST_BIN): $(OUT)/%: $(OUT)/%.o $(LIBCHECK) $(LIBCMD) $(LIB)
	$(link)
ifneq ($(MODE),fuzz)
$(FUZZ_BIN): $(OUT)/%: $(OUT)/%.o $(OUT)/tests/fuzz/replay.o $(LIB)
	$(link)
else
$(FUZZ_BIN): $(OUT)/%: $(OUT)/%.o $(LIB)
	$(link)
endif
$(BENCH_BIN): $(BUILD)/bench/%: $(OUT)/bench/%.o $(LIBCMD) $(LIB)
	$(link)
$(BUILD)/lab/%: $(OUT)/tests/lab/%.o
	$(link)
$(BUILD)/lab/meter $(BUILD)/lab/mkpieces: $(BUILD)/lab/%: $(OUT)/bench/%.o
	$(link)

lab: $(TOOL_BIN) ## build the tools of tests/lab and bench

tests-built: all $(UNIT_TESTS) $(FUZZ_BIN) $(TOOL_BIN)

# ---- testing -------------------------------------------------------------
setup: ## install the Debian packages that building and testing need
	@tests/setup.sh

# Sub-makes, because packages must be there before anything is compiled, and
# nothing may be printed after the closing line of the test runner. The long
# tests go first, so that no processor waits at the end.
check: ## setup, build, and run every test; the last line is the result
	$(SUB) setup
	$(SUB) tests-built
	@$(RUN) $(E2E_TESTS) $(CLI_TESTS) $(UNIT_TESTS) $(FUZZ_BIN) $(LINT_TESTS)

check-unit: $(if $(CTEST_BIN),all) $(UNIT_TESTS) ## unit tests only
	@$(RUN) $(UNIT_TESTS)
check-cli: all ## command line tests only
	@$(RUN) $(CLI_TESTS)
check-e2e: all lab ## whole migrations only
	@$(RUN) $(E2E_TESTS)
check-built: tests-built # what check runs on sanitized builds
	@$(RUN) $(UNIT_TESTS) $(FUZZ_BIN) $(CLI_TESTS) $(E2E_TESTS)
check-san: ## all tests under the address, undefined and thread sanitizers
	$(SUB) SAN=address,undefined TEST_SECONDS=300 check-built
	$(SUB) SAN=thread TEST_SECONDS=300 check-built
check-live: all lab ## running guests that move, with every fault, over several lines (30 min)
	@VMFERRY="$(abspath $(BIN))" VF_LAB="$(abspath $(BUILD)/lab)" tests/check-live -o $(BUILD)/live
check-valgrind: $(if $(CTEST_BIN),all) $(UNIT_TESTS) ## unit tests under valgrind
	@$(RUN) -t 600 -w '$(VALGRIND)' $(filter-out %/test_check,$(UNIT_TESTS))
fuzz-replay: $(FUZZ_BIN) ## run every fuzz target over its stored corpus
	@$(RUN) $(FUZZ_BIN)
fuzz: ## fuzz every parser for FUZZ_SECONDS (clang)
	$(SUB) CC=clang MODE=fuzz SAN=fuzzer-no-link,address,undefined LDOPT=-fsanitize=fuzzer,address,undefined fuzz-run
fuzz-run: $(FUZZ_BIN)
	@set -e; for f in $(FUZZ_BIN); do \
	    n=$${f##*/fuzz_}; mkdir -p $(OUT)/corpus/$$n; echo "== $$n"; \
	    $$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	        -artifact_prefix=$(OUT)/$$n- $(OUT)/corpus/$$n tests/fuzz/corpus/$$n; \
	done

bench: all lab $(BENCH_BIN) ## benchmarks of single layers; with CORPUS=DIR (bench/README.md) of the whole
	@set -e; for b in $(BENCH_BIN); do echo "== $${b##*/}"; $$b; done
	@[ -z "$(CORPUS)" ] || bench/short.sh "$(CORPUS)"
demo: ## setup, build, and show a migration between two stores
	$(SUB) setup
	$(SUB) all
	@VMFERRY="$(abspath $(BIN))" tests/demo.sh

lint: all ## dependency order, lengths, headers, documents, shell scripts
	@$(RUN) $(LINT_TESTS)
format: ## rewrite all C files in the house style
	@clang-format -i $$(git ls-files '*.c' '*.h')
format-check: ## fail if clang-format would change a file
	@clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

# ---- installing ----------------------------------------------------------
MAN1  := $(wildcard cmd/man/*.1)
MAN5  := $(wildcard cmd/man/*.5)
UNITS := $(wildcard cmd/systemd/*.service)
DOCS  := README.md CHANGELOG.md SECURITY.md LICENSE $(wildcard cmd/etc/*)

install: all ## install to DESTDIR/PREFIX
	install -D -m 755 $(BIN) $(DESTDIR)$(BINDIR)/vmferry
	$(if $(MAN1),install -D -m 644 -t $(DESTDIR)$(MANDIR)/man1 $(MAN1))
	$(if $(MAN5),install -D -m 644 -t $(DESTDIR)$(MANDIR)/man5 $(MAN5))
	install -D -m 644 -t $(DESTDIR)$(DOCDIR) $(wildcard $(DOCS))
	for u in $(notdir $(UNITS)); do install -d $(DESTDIR)$(UNITDIR) && \
	    sed 's|@BINDIR@|$(BINDIR)|g' cmd/systemd/$$u > $(DESTDIR)$(UNITDIR)/$$u && \
	    chmod 644 $(DESTDIR)$(UNITDIR)/$$u || exit 1; done
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/vmferry $(addprefix $(DESTDIR)$(MANDIR)/man1/,$(notdir $(MAN1))) \
	    $(addprefix $(DESTDIR)$(MANDIR)/man5/,$(notdir $(MAN5))) \
	    $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(UNITS)))
	rm -rf $(DESTDIR)$(DOCDIR)
clean: ## remove the build directory
	rm -rf $(BUILD)
dist: ## a source archive of the last commit
	@mkdir -p $(BUILD)
	git archive --prefix=vmferry/ -o $(BUILD)/vmferry-src.tar.gz HEAD
help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

-include $(patsubst %.c,$(OUT)/%.d,$(ALL_SRC))
