# From suites' logs: a line for each test that failed and, indented, lines that say why.
# Knows what prove, pg_regress (its log, then regression.diffs), gtest, unittest and test/lint write.
# -v suite=NAME -v logs=FOLDER (where the TAP tests log what they do)
function failed(name) { print suite ": " name }
function why(text) {
  gsub(/[ \t]+/, " ", text)
  if (text !~ /^ ?$/) print "   " substr(text, 1, 170)
}
function keep(text) { kept[n++ % 4] = text }
function why_kept(  i) {
  for (i = n > 4 ? n - 4 : 0; i < n; i++) why(kept[i % 4])
  n = 0
}
# What a test that ended before its end said last: prove does not show it.
function why_dead(name,  line) {
  n = 0
  sub(/.*\//, "", name)
  sub(/\.pl$/, "", name)
  while ((getline line < (logs "/regress_log_" name)) > 0) {
    if (line ~ /^\[[^]]*\]\([^)]*\) (not )?ok /) n = 0
    else if (line !~ /^(###|# (Running|Postmaster|No postmaster)|waiting for server|server st)|\) # (Tests were run|Looks like)/) keep(line)
  }
  why_kept()
}

# --- prove
/^[^ ]+\.pl \.+/ { file = $1 ": "; tap = 1 }
/^not ok / { sub(/^not ok ([0-9]+ - )?/, ""); failed(file $0); inside = 1; next }
inside && tap && (/^$/ || /^# +(Failed test|at .* line [0-9]+\.$)/) { next }
inside && tap && /^#/ && !/^# Looks like/ { why(substr($0, 2)); next }
inside && !tap && /^    / { why($0); next }
{ inside = 0 }
/^[^ ]+\.pl +\(Wstat: / {
  match($0, /exited [0-9]+/)
  code = RSTART ? substr($0, RSTART + 7, RLENGTH - 7) + 0 : 0
  if (code != $NF + 0 || code == 0) { failed($1 " did not end: " substr($0, index($0, "(Wstat"))); why_dead($1) }
}

# --- pg_regress
/\.\.\. FAILED/ { sub(/^ *(test )?/, ""); sub(/ +\.\.\. /, " "); outcome[outcomes++] = $0 }
/^diff -U3 / { name = $NF; sub(/.*\//, "", name); sub(/\.out$/, "", name); in_diff = 1; next }
in_diff && /^[-+]/ && !/^(---|\+\+\+) / { diff[name, differs[name]++] = $0 }

# --- gtest
/^\[ RUN      \]/ { running = $4; n = 0; next }
/^\[       OK \]/ { running = "" }
running != "" && /^\[  FAILED  \]/ { failed($4); why_kept(); running = "" }
running != "" && (n < 4 || /ERROR|runtime error/) { keep($0) }

# --- unittest
/^(FAIL|ERROR): / { failed($2); trace = 1 }
trace && /^(=====|Ran )/ { trace = 0 }
trace && /^[A-Za-z.]*(Error|Exception)/ { why($0) }

END {
  for (i = 0; i < outcomes; i++) {
    failed(outcome[i])
    split(outcome[i], part, " ")
    for (j = 0; j < differs[part[1]] && j < 8; j++) why(diff[part[1], j])
  }
  if (running != "") { failed(running " did not end"); why_kept() }
}
