# SPDX-License-Identifier: MIT
# A thin front to Meson. Everything that is built lies in build/.
BUILD := build
ASAN := build/asan
TSAN := build/tsan
MESON := meson
SETUP_OPTIONS ?=

# make run: a Linux program on memory that Quire manages, and the report. RUN is its command line.
RAM ?= 512M
RUN ?= tools/workload.sh

SOURCES = $(shell git ls-files '*.[ch]' 2>/dev/null || find . -name '*.[ch]' -not -path './build/*')

.PHONY: all setup run test bench check-full format lint install clean

all: setup
	@$(MESON) compile -C $(BUILD)

setup:
	@tools/setup.sh build
	@[ -f $(BUILD)/build.ninja ] || $(MESON) setup $(BUILD) $(SETUP_OPTIONS)

run: setup
	@$(MESON) compile -C $(BUILD) quire:executable
	$(BUILD)/quire run --ram $(RAM) --report text -- $(RUN)

test: setup-test
	@tools/run-tests.sh fast

check-full: setup-test
	@[ -f $(TSAN)/build.ninja ] || $(MESON) setup $(TSAN) $(SETUP_OPTIONS) \
		-Db_sanitize=thread -Db_lundef=false -Doptimization=1
	@for slab in slab slob; do \
		[ -f $(BUILD)/$$slab-asan/build.ninja ] || \
			$(MESON) setup $(BUILD)/$$slab-asan $(SETUP_OPTIONS) -Dslab=$$slab \
				-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 \
				-Ddebug_mm=true || exit 1; \
		[ -f $(BUILD)/$$slab-tsan/build.ninja ] || \
			$(MESON) setup $(BUILD)/$$slab-tsan $(SETUP_OPTIONS) -Dslab=$$slab \
				-Db_sanitize=thread -Db_lundef=false -Doptimization=1 || exit 1; \
	done
	@tools/run-tests.sh full

bench: all
	@tools/setup.sh test
	@$(MESON) test -C $(BUILD) --benchmark

.PHONY: setup-test
setup-test: setup
	@tools/setup.sh test
	@[ -f $(ASAN)/build.ninja ] || $(MESON) setup $(ASAN) $(SETUP_OPTIONS) \
		-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Ddebug_mm=true
	@for slab in slab slob; do \
		[ -f $(BUILD)/$$slab/build.ninja ] || \
			$(MESON) setup $(BUILD)/$$slab $(SETUP_OPTIONS) -Dslab=$$slab || exit 1; \
	done

format:
	@tools/setup.sh lint
	@clang-format -i $(SOURCES)

lint: setup
	@tools/setup.sh lint
	@tools/lint.sh

# DESTDIR is obeyed; SETUP_OPTIONS=--prefix=... at the first build.
install: all
	@$(MESON) install -C $(BUILD) --no-rebuild

clean:
	@rm -rf $(BUILD)
