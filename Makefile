# puna: one Makefile. `make help` lists the targets; everything built lies under build/.
#   BUILD = release (default) | debug | asan | ubsan | tsan | coverage | fuzz     CC = gcc | clang
# Each compiler and BUILD has its own folder of objects, and a change of flags rebuilds them.
#   V=1 shows the commands.   CPPFLAGS, CFLAGS, LDFLAGS, LDLIBS given by the user come last.

BUILD   ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
Q       := $(if $(V),,@)
comma   := ,
say     = @$(if $(V),:,printf '  %-5s %s\n' $(1) $(2))

VERSION := 0.1.0
SONAME  := libpuna.so.0

# The release program is build/puna; other variants are build/<variant>/puna.
VARIANT := $(BUILD)$(if $(filter gcc,$(CC)),,-$(subst /,_,$(subst $(eval) ,_,$(CC))))
OBJ     := build/$(VARIANT)
BIN     := $(if $(filter release,$(VARIANT)),build/puna,$(OBJ)/puna)
LIB     := $(OBJ)/libpuna.a
SO      := $(OBJ)/$(SONAME).$(VERSION:0.%=%)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

OPT_release  := -O2
OPT_debug    := -O0
OPT_asan     := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_ubsan    := -O1 -fsanitize=undefined -fno-sanitize-recover=all
OPT_tsan     := -O1 -fsanitize=thread
OPT_coverage := -O0 --coverage
OPT_fuzz     := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(OPT_$(BUILD)),)
$(error BUILD=$(BUILD): expected release, debug, asan, ubsan, tsan, coverage or fuzz)
endif

# `make` alone uses every processor; a -j on the command line or in MAKEFLAGS wins.
ifeq ($(MAKELEVEL),0)
ifeq ($(shell tr '\0' '\n' 2>/dev/null </proc/$$PPID/environ | grep '^MAKEFLAGS=.*j'),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# ---- what the machine has -----------------------------------------------------------------
# tools/bootstrap installs what is missing and says which flags the packages want. make reads
# the answer before anything else, and once; targets that build nothing do without it.
PACKAGES := jansson libutf8proc libcrypto
NO_BUILD := help clean format check-format check-static uninstall
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
include build/packages.mk
endif
build/packages.mk: tools/bootstrap
	$(Q)tools/bootstrap build
	@mkdir -p build
	@{ echo "PACKAGE_CFLAGS := $$(pkg-config --cflags $(PACKAGES))"; \
	   echo "PACKAGE_LIBS := $$(pkg-config --libs $(PACKAGES))"; } >$@

# ---- flags --------------------------------------------------------------------------------
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror
SANITIZE := $(filter -fsanitize% --coverage,$(OPT_$(BUILD)))
DEFINES := -Iinclude -Isrc -Iapps -DPUNA_VERSION='"$(VERSION)"'
COMPILE  = $(CC) $(DEFINES) $(PACKAGE_CFLAGS) -std=c17 -g -fPIC -fvisibility=hidden -pthread $(OPT_$(BUILD)) $(WARN) $(MORE) \
           $(CPPFLAGS) $(CFLAGS) -MMD -MP
LINK     = $(CC) $(SANITIZE) $(LDFLAGS)
LIBS     = $(PACKAGE_LIBS) -lm -pthread $(LDLIBS)

# Kernel files alone may relax floating point, and each carries the flags of its instruction set.
KERNEL_FLAGS := -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast
ISA_avx2     := -mavx2 -mfma -mf16c -mbmi2
ISA_avx512   := $(ISA_avx2) -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
ISA_amx      := $(ISA_avx512) -mavx512bf16 -mamx-tile -mamx-bf16 -mamx-int8
ISA_neon     := -march=armv8.2-a+dotprod
ISA_i8mm     := $(ISA_neon)+i8mm

ARCH       := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d- -f1)
OTHER_ARCH := $(if $(filter x86_64,$(ARCH)),arm,x86)

# ---- files --------------------------------------------------------------------------------
SRC     := $(shell find src -name '*.c' -not -path 'src/backend/cpu/$(OTHER_ARCH)/*' | sort)
SRC_ASM := $(shell find src -name '*.S' -not -path 'src/backend/cpu/$(OTHER_ARCH)/*' | sort)
APP     := $(shell find apps -name '*.c' | sort)
LIB_OBJ := $(SRC:%.c=$(OBJ)/%.o) $(SRC_ASM:%.S=$(OBJ)/%.o)
APP_OBJ := $(APP:%.c=$(OBJ)/%.o)
APP_LIB := $(filter-out $(OBJ)/apps/cli/main.o,$(APP_OBJ))

# FILTER="gguf token" builds and runs only the tests whose names contain one of the words.
pick    = $(if $(FILTER),$(foreach f,$(1),$(if $(strip $(foreach w,$(FILTER),$(findstring $(w),$(notdir $(f))))),$(f))),$(1))
TESTS   := $(patsubst tests/unit/%.c,$(OBJ)/tests/%,$(call pick,$(wildcard tests/unit/test_*.c)))
FUZZ    := $(patsubst fuzz/%.c,$(OBJ)/fuzz/%,$(call pick,$(wildcard fuzz/fuzz_*.c)))
BENCH   := $(patsubst bench/%.c,$(OBJ)/bench/%,$(call pick,$(wildcard bench/*.c)))

.PHONY: all
all: $(BIN) $(LIB)  ## build the program, build/puna, and the library (the default)

.PHONY: run
run: export override PROMPT := $(value PROMPT)
run: export override MODEL := $(value MODEL)
run: $(BIN)  ## answer PROMPT="..." (or standard input) with the default model (MODEL=... takes another), fetching it first
	$(Q)[ -n "$$MODEL" ] || PUNA_PROGRAM=$(BIN) tools/get-model
	$(Q)[ -n "$$PROMPT" ] || ! [ -t 0 ] || PROMPT="Why is the sky blue?"; \
	$(BIN) run $${MODEL:+-m "$$MODEL"} $${PROMPT:+-- "$$PROMPT"}

.PHONY: models
models: $(BIN)  ## fetch the real models that check-model and the benchmarks use
	$(Q)PUNA_PROGRAM=$(BIN) tools/get-model test

# ---- building -----------------------------------------------------------------------------
$(OBJ)/src/backend/cpu/%.o: MORE += $(if $(filter release,$(BUILD)),$(KERNEL_FLAGS),-ffp-contract=fast)
ifeq ($(BUILD),fuzz)  # no fuzz target computes, and instrumented kernels take minutes to compile
$(OBJ)/src/backend/cpu/%.o: MORE += -fno-sanitize=all
endif
$(OBJ)/%_avx2.o: MORE += $(ISA_avx2)
$(OBJ)/%_avx512.o: MORE += $(ISA_avx512)
$(OBJ)/%_amx.o: MORE += $(ISA_amx)
# gcc would move loads forward until registers run out; these processors reorder by themselves.
$(OBJ)/src/backend/cpu/arm/%.o: MORE += $(if $(findstring clang,$(CC)),,-fno-schedule-insns)
$(OBJ)/%_neon.o: MORE += $(ISA_neon)
$(OBJ)/%_i8mm.o: MORE += $(ISA_i8mm)
$(OBJ)/src/engine/version.o: MORE += -DPUNA_COMMIT='"$(COMMIT)"'
$(OBJ)/src/engine/version.o: $(OBJ)/.commit
$(OBJ)/src/engine/builtin.o: $(wildcard assets/*.gguf)
$(OBJ)/tests/harness.o: MORE += -DTEST_ROOT='"$(CURDIR)"'
$(OBJ)/tests/% $(OBJ)/fuzz/% $(OBJ)/bench/%: MORE += -Itests

# Files that record what objects were made with; written again, and so newer, when that changes.
FLAGS := $(strip $(COMPILE) $(KERNEL_FLAGS) $(ISA_amx) $(ISA_i8mm) $(LINK) $(LIBS))
ifneq ($(file <$(OBJ)/.flags),$(FLAGS))
.PHONY: $(OBJ)/.flags
endif
ifneq ($(file <$(OBJ)/.commit),$(COMMIT))
.PHONY: $(OBJ)/.commit
endif
record = @mkdir -p $(@D) && printf '%s\n' '$(subst ','\'',$(1))' >$@
$(OBJ)/.flags:
	$(call record,$(FLAGS))
$(OBJ)/.commit:
	$(call record,$(COMMIT))

$(OBJ)/%.o: %.c $(OBJ)/.flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -c $< -o $@
$(OBJ)/%.o: %.S $(OBJ)/.flags
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(DEFINES) -MMD -MP -c $< -o $@

$(LIB): $(LIB_OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(BIN): $(OBJ)/apps/cli/main.o $(APP_LIB) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)
$(SO): $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--no-undefined -o $@ $^ $(LIBS)

.PRECIOUS: $(OBJ)/%.o
$(OBJ)/tests/test_archs: $(OBJ)/tests/tiny_arch.o
$(OBJ)/tests/%: $(OBJ)/tests/unit/%.o $(OBJ)/tests/harness.o $(APP_LIB) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)
# Fuzz targets: with clang's libFuzzer in BUILD=fuzz, else with a main that replays files.
$(OBJ)/fuzz/fuzz_%: $(OBJ)/fuzz/fuzz_%.o $(if $(filter fuzz,$(BUILD)),,$(OBJ)/fuzz/replay.o) $(APP_LIB) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(LINK) $(if $(filter fuzz,$(BUILD)),-fsanitize=fuzzer) -o $@ $^ $(LIBS)
$(OBJ)/bench/%: $(OBJ)/bench/%.o $(APP_LIB) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

# ---- tests and checks ---------------------------------------------------------------------
.PHONY: test
test: $(BIN) $(TESTS) $(FUZZ)  ## unit and command line tests, offline; ends in "N passed, N failed, N skipped"
	$(Q)tests/run $(OBJ) $(BIN) $(FILTER)

.PHONY: check check-static check-shared
check: check-static check-shared  ## everything to run before a commit: the rules of the house, then the tests
	$(Q)$(MAKE) test
check-static:  ## the rules alone: includes, sizes, banned functions, header, text, shell
	$(Q)tools/check
check-shared: $(SO)
	$(Q)tools/check-header $(SO)

.PHONY: check-asan check-ubsan check-tsan check-clang check-valgrind check-model
check-asan:  ## the tests with AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) BUILD=asan test
check-ubsan:  ## the tests with UndefinedBehaviorSanitizer alone (other memory layout than check-asan)
	$(Q)$(MAKE) BUILD=ubsan test
# ThreadSanitizer needs the old address layout: setarch -R turns randomisation off.
TSAN_TESTS := pool exec cpu backend engine session group server
check-tsan:  ## the tests that use threads with ThreadSanitizer
	$(Q)$(shell command -v setarch >/dev/null && echo setarch -R) $(MAKE) BUILD=tsan test FILTER="$(TSAN_TESTS)"
check-clang:  ## build all with clang, warnings as errors, and test that build
	$(Q)$(MAKE) CC=clang test
check-valgrind: $(BIN) $(TESTS)  ## the unit tests of the release build under valgrind
	$(Q)tools/bootstrap check
	$(Q)TEST_WRAPPER="valgrind -q --error-exitcode=99 --leak-check=full" tests/run $(OBJ) "" $(FILTER)
MODEL_TESTS := $(basename $(notdir $(shell grep -l 'test_model[^.a-z_]' tests/unit/test_*.c 2>/dev/null)))
MODEL_SCRIPTS := $(notdir $(shell grep -l build/models tests/cli/*.sh 2>/dev/null))
check-model: $(BIN) $(MODEL_TESTS:%=$(OBJ)/tests/%)  ## the tests that need real models (make models first)
	$(Q)if ! ls build/models/*.gguf >/dev/null 2>&1; then echo "check-model: skipped: no models here (make models)"; \
	else PUNA_TEST_MODELS=$(CURDIR)/build/models tests/run $(OBJ) $(BIN) $(MODEL_TESTS) $(MODEL_SCRIPTS); fi

# Under qemu, where the processor is another one: statically, and without what needs other libraries.
ARM_CC    := aarch64-linux-gnu-gcc
ARM_TESTS := kernels attention cpu_backend
ARM_OBJ   := $(filter $(addprefix $(OBJ)/src/,base/% quant/% ops/% backend/%),$(LIB_OBJ))
.PHONY: check-arm arm-tests
check-arm:  ## the tests of kernels, attention and the backend for 64-bit ARM, cross-compiled and emulated
	$(Q)tools/bootstrap arm
	$(Q)$(MAKE) CC=$(ARM_CC) arm-tests
arm-tests: $(ARM_TESTS:%=$(OBJ)/arm/tests/test_%)
	$(Q)TEST_WRAPPER="qemu-aarch64-static -cpu max" tests/run $(OBJ)/arm ""
$(OBJ)/arm/tests/test_%: $(OBJ)/tests/unit/test_%.o $(OBJ)/tests/harness.o $(ARM_OBJ)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) -static -o $@ $^ -lm -pthread

.PHONY: coverage fuzz bench
coverage:  ## line coverage of src/ and apps/ by the tests: a line a folder and the total
	$(Q)[ ! -d build/coverage ] || find build/coverage -name '*.gcda' -delete
	$(Q)$(MAKE) BUILD=coverage test
	$(Q)tools/coverage build/coverage
FUZZ_SECONDS ?= 60
fuzz:  ## run each fuzz target with clang's libFuzzer for FUZZ_SECONDS (60)
	$(Q)tools/bootstrap check
	$(Q)$(MAKE) CC=clang BUILD=fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz-targets
.PHONY: fuzz-targets
fuzz-targets: $(FUZZ)
	$(Q)tools/fuzz $(FUZZ_SECONDS) $(FUZZ)
bench: $(if $(FILTER),$(BENCH),$(BIN))  ## speed of a made-up model (BENCH_ARGS="-m ... -d 0,4096"), or of programs in bench/ (FILTER=kbench)
	$(Q)set -e; $(if $(FILTER),for b in $(BENCH); do $$b $(BENCH_ARGS); done,\
	$(BIN) bench $(or $(BENCH_ARGS),--synthetic llama-143m:q4_k_m -b 4$(comma)16))

# ---- form ---------------------------------------------------------------------------------
.PHONY: format check-format
format:  ## lay out the lines not committed yet as .clang-format says
	$(Q)tools/format
check-format:  ## whether `make format` would change anything
	$(Q)tools/format --check

# ---- installing ---------------------------------------------------------------------------
BINDIR     := $(DESTDIR)$(PREFIX)/bin
LIBDIR     := $(DESTDIR)$(PREFIX)/lib
INCLUDEDIR := $(DESTDIR)$(PREFIX)/include
SHAREDIR   := $(DESTDIR)$(PREFIX)/share
COMPLETIONS := $(SHAREDIR)/bash-completion/completions/puna $(SHAREDIR)/zsh/site-functions/_puna \
               $(SHAREDIR)/fish/vendor_completions.d/puna.fish
.PHONY: install uninstall
install: $(BIN) $(LIB) $(SO)  ## program, library, header, puna.pc and completions into DESTDIR/PREFIX (/usr/local)
	$(Q)install -d $(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR)
	$(Q)install -m 755 $(BIN) $(BINDIR)/puna
	$(Q)install -m 644 $(LIB) $(LIBDIR)/libpuna.a
	$(Q)install -m 755 $(SO) $(LIBDIR)/$(notdir $(SO))
	$(Q)ln -sf $(notdir $(SO)) $(LIBDIR)/$(SONAME) && ln -sf $(SONAME) $(LIBDIR)/libpuna.so
	$(Q)install -m 644 include/puna.h $(INCLUDEDIR)/puna.h
	$(Q)tools/pkg-config-file $(PREFIX) $(VERSION) "$(PACKAGES)" >$(LIBDIR)/pkgconfig/puna.pc
	$(Q)tools/completions $(BIN) $(COMPLETIONS)
uninstall:  ## remove what install put there
	$(Q)rm -f $(BINDIR)/puna $(LIBDIR)/libpuna.a $(LIBDIR)/libpuna.so $(LIBDIR)/$(SONAME) \
	    $(LIBDIR)/$(notdir $(SO)) $(INCLUDEDIR)/puna.h $(LIBDIR)/pkgconfig/puna.pc $(COMPLETIONS)

.PHONY: clean help
clean:  ## remove what was built; fetched models stay in build/models
	$(Q)[ ! -d build ] || find build -mindepth 1 -maxdepth 1 -not -name models -exec rm -rf {} +
help:  ## this list
	@echo "make [TARGET] [BUILD=release|debug|asan|ubsan|tsan|coverage] [CC=gcc|clang] [V=1]"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18 | sed 's/^/  /'

ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
endif
