# make deps, test, lint and the unit tests. test/README.md says what each suite proves.
PGMAJOR = $(or $(shell $(PG_CONFIG) --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/'),15)
DEPS = g++ make postgresql-$(PGMAJOR) postgresql-server-dev-$(PGMAJOR) libhwy-dev libboost-dev \
       libgtest-dev libipc-run-perl clang-format-14 python3 python3-venv python3-numpy libopenblas0-pthread

.PHONY: deps test lint check-local unit
deps:
	@missing=$$(for p in $(DEPS); do dpkg-query -W -f '$${Status}\n' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done | tr '\n' ' '); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "needs these packages (Debian's names): $$missing" >&2; exit 1; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "some packages are missing; run this first:  sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

test:
	@$(MAKE) --no-print-directory deps
	@bash test/run.sh

lint:
	@$(MAKE) --no-print-directory -s all
	@bash test/lint/run.sh

# --- unit tests: the core alone, under the address and undefined-behaviour sanitizers -------------
CORE_DIRS = core simd quant cluster graph format
UNIT_SRCS = $(sort $(wildcard $(addprefix src/,$(addsuffix /*.cpp,$(CORE_DIRS)))) $(wildcard test/unit/*.cpp))
UNIT_OBJS = $(patsubst %.cpp,build/unit/%.o,$(UNIT_SRCS))
UNIT_FLAGS = -Isrc -Itest/unit -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS -DBOOST_CONTAINER_USER_DEFINED_THROW_CALLBACKS -DBOOST_NO_EXCEPTIONS
build/unit/src/%.o: src/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(CORE_CXXFLAGS) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<
build/unit/test/%.o: test/%.cpp
	@mkdir -p $(@D)
	$(CXX) -std=c++20 -Wall -Wextra $(UNIT_FLAGS) -MMD -MP -c -o $@ $<
build/unit/run: $(UNIT_OBJS)
	$(CXX) -fsanitize=address,undefined -o $@ $^ -lgtest -lgtest_main -lhwy -pthread
-include $(UNIT_OBJS:.o=.d)
unit: build/unit/run
	./build/unit/run --gtest_brief=1
