# puna: one Makefile. `make help` lists the targets; everything built lies under build/.
# BUILD = release (default) | debug | asan | ubsan | tsan | coverage.   CC = gcc | clang.

BUILD   ?= release
PREFIX  ?= /usr/local
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
PYTHON  ?= python3
Q       := $(if $(V),,@)

# The release program is build/puna; other variants are build/<variant>/puna.
OBJ     := build/$(BUILD)
BIN     := $(if $(filter release,$(BUILD)),build/puna,$(OBJ)/puna)
LIB     := $(OBJ)/libpuna.a

VERSION := 0.1.0
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
ARCH    := $(shell $(CC) -dumpmachine | cut -d- -f1)

OPT_release  := -O2
OPT_debug    := -O0
OPT_asan     := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_ubsan    := -O1 -fsanitize=undefined -fno-sanitize-recover=all
OPT_tsan     := -O1 -fsanitize=thread
OPT_coverage := -O0 --coverage -DNDEBUG
ifeq ($(OPT_$(BUILD)),)
$(error BUILD=$(BUILD): expected release, debug, asan, ubsan, tsan or coverage)
endif

PACKAGES := jansson libutf8proc libcrypto
WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror
CPPFLAGS += -Iinclude -Isrc -Iapps -DPUNA_VERSION='"$(VERSION)"'
CFLAGS   += -std=c17 -g $(OPT_$(BUILD)) $(WARN) -fvisibility=hidden
LDFLAGS  += $(filter -fsanitize% --coverage,$(OPT_$(BUILD)))
LDLIBS   += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null || echo -ljansson -lutf8proc -lcrypto) -lm -pthread

# Kernel files alone may relax floating point, and each carries the flags of its instruction set.
KERNEL_FLAGS := -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast
ISA_avx2     := -mavx2 -mfma -mf16c -mbmi2
ISA_avx512   := $(ISA_avx2) -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
ISA_neon     :=

ifeq ($(ARCH),x86_64)
OTHER_ARCH := arm
else
OTHER_ARCH := x86
endif

SRC       := $(shell find src -name '*.c' -not -path 'src/backend/cpu/$(OTHER_ARCH)/*' | sort)
SRC_ASM   := $(shell find src -name '*.S' | sort)
APP       := $(shell find apps -name '*.c' | sort)
LIB_OBJ   := $(SRC:%.c=$(OBJ)/%.o) $(SRC_ASM:%.S=$(OBJ)/%.o)
APP_OBJ   := $(APP:%.c=$(OBJ)/%.o)
APP_LIB   := $(filter-out $(OBJ)/apps/cli/main.o,$(APP_OBJ))
TESTS     := $(patsubst tests/unit/%.c,$(OBJ)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZ      := $(patsubst fuzz/%.c,$(OBJ)/fuzz/%,$(wildcard fuzz/fuzz_*.c))

.PHONY: all
all: $(BIN) $(LIB)  ## build the program and the library

# ---- building ---------------------------------------------------------------------------
# Missing packages are installed once, before the first object is compiled.
READY := build/.ready-$(BUILD)
$(READY): tools/bootstrap
	$(Q)tools/bootstrap build
	$(Q)mkdir -p build && touch $@

$(OBJ)/src/backend/cpu/%.o: CFLAGS += $(if $(filter release,$(BUILD)),$(KERNEL_FLAGS),-ffp-contract=fast)
$(OBJ)/%_avx2.o: CFLAGS += $(ISA_avx2)
$(OBJ)/%_avx512.o: CFLAGS += $(ISA_avx512)
$(OBJ)/src/engine/version.o: CPPFLAGS += -DPUNA_COMMIT='"$(COMMIT)"'

$(OBJ)/%.o: %.c | $(READY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(OBJ)/%.o: %.S | $(READY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(BIN): $(OBJ)/apps/cli/main.o $(APP_LIB) $(LIB)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# ---- tests ------------------------------------------------------------------------------
$(OBJ)/tests/harness.o: CPPFLAGS += -DTEST_ROOT='"$(CURDIR)"'
$(OBJ)/tests/unit/%.o: CPPFLAGS += -Itests
$(OBJ)/tests/%: $(OBJ)/tests/unit/%.o $(OBJ)/tests/harness.o $(APP_LIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
.PRECIOUS: $(OBJ)/%.o

.PHONY: test
test: $(BIN) $(TESTS)  ## unit and command line tests, offline; ends in "N passed, N failed"
	$(Q)tests/run $(OBJ) $(BIN)

-include $(shell find build/$(BUILD) -name '*.d' 2>/dev/null)
