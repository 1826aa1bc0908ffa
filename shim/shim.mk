# make install-shim: the same library and SQL as an extension named vector (README.md in this folder).
SHIM_VERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" shim/vector.control)
# The versions of pgvector that an existing database can be switched from.
SHIM_FROM = 0.5.0 0.5.1 0.6.0 0.6.1 0.6.2 0.7.0 0.7.1 0.7.2 0.7.3 0.7.4 \
  0.8.0 0.8.1 0.8.2 0.8.3 0.8.4 0.8.5 0.8.6 0.8.7
SHIM_PARTS = $(filter-out sql/ann/00_guard.sql,$(sort $(wildcard sql/ann/*.sql)))
SHIM_INSTALL = build/shim/install.sql
SHIM_UPDATE = build/shim/update.sql
SHIM_DIR = $(DESTDIR)$(datadir)/extension
SHIM_IS_OURS = grep -qs "^module_pathname = '\$$libdir/ann'" "$(SHIM_DIR)/vector.control"

$(SHIM_INSTALL): shim/guard.sql $(SHIM_PARTS)
	@mkdir -p $(@D)
	@for part in $^; do cat $$part && echo; done >$@.new && mv $@.new $@
$(SHIM_UPDATE): shim/update_head.sql shim/update_tail.sql shim/update.awk $(SHIM_PARTS)
	@mkdir -p $(@D)
	@{ cat shim/update_head.sql && awk -f shim/update.awk $(SHIM_PARTS) && cat shim/update_tail.sql; } >$@.new && mv $@.new $@

all: $(SHIM_INSTALL) $(SHIM_UPDATE)

.PHONY: install-shim install-shim-scripts uninstall-shim shim-free
# Before anything is installed
shim-free:
	@if [ -e "$(SHIM_DIR)/vector.control" ] && ! $(SHIM_IS_OURS); then \
	  echo "$(SHIM_DIR)/vector.control is another extension's: remove its package first." >&2; exit 1; fi
install-shim: shim-free
	@$(MAKE) --no-print-directory install
	@$(MAKE) --no-print-directory install-shim-scripts
install-shim-scripts: shim-free $(SHIM_INSTALL) $(SHIM_UPDATE)
	$(MKDIR_P) "$(SHIM_DIR)"
	$(INSTALL_DATA) $(SHIM_INSTALL) "$(SHIM_DIR)/vector--$(SHIM_VERSION).sql"
	for from in $(SHIM_FROM); do $(INSTALL_DATA) $(SHIM_UPDATE) "$(SHIM_DIR)/vector--$$from--$(SHIM_VERSION).sql" || exit; done
	$(INSTALL_DATA) shim/vector.control "$(SHIM_DIR)/"
uninstall-shim:
	@if $(SHIM_IS_OURS); then rm -f "$(SHIM_DIR)/vector.control"; fi
	rm -f "$(SHIM_DIR)/vector--$(SHIM_VERSION).sql" $(foreach from,$(SHIM_FROM),"$(SHIM_DIR)/vector--$(from)--$(SHIM_VERSION).sql")
