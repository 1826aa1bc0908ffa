# Makes of sql/ann/*.sql the statements that bring a database with pgvector's extension to the same: what can be
# replaced is replaced, and all else is made where it is missing (update_head.sql has the functions that tell).

function guarded(condition, statement, otherwise) {
  print "DO $update$\nBEGIN\n  IF NOT " condition " THEN"
  print statement
  if (otherwise != "") print "  ELSE\n" otherwise
  print "  END IF;\nEND\n$update$;"
}

# What stands behind `name =` in a definition, up to a comma or its end.
function value_of(name, statement) {
  if (!match(statement, "[ (]" name " = [^,\n]*")) return ""
  statement = substr(statement, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
  sub(/[ );]*$/, "", statement)
  return statement
}

function quoted(name) { return "'" name "'" }

function operator_update(statement, name, arguments, settings) {
  settings = ""
  if (value_of("RESTRICT", statement) != "") {
    settings = "ALTER OPERATOR " name " " arguments " SET (RESTRICT = " value_of("RESTRICT", statement) \
      ", JOIN = " value_of("JOIN", statement) ");"
  }
  # Only PostgreSQL 17 and later can say so of an operator that is there.
  if (statement ~ /HASHES, MERGES/) {
    settings = settings "\nIF current_setting('server_version_num')::int >= 170000 THEN EXECUTE 'ALTER OPERATOR " \
      name " " arguments " SET (HASHES, MERGES)'; END IF;"
  }
  return settings
}

# Operators of range search, which pgvector's classes lack.
function class_update(statement, name, method, lines, count, i, added) {
  added = ""
  count = split(statement, lines, "\n")
  for (i = 1; i <= count; i++) {
    if (lines[i] !~ /^ *OPERATOR 2 .*\(/) continue
    sub(/[,;] *$/, "", lines[i])
    added = added "ALTER OPERATOR FAMILY " name " USING " method " ADD" lines[i] ";"
  }
  return added
}

function emit(statement, words) {
  split(statement, words, /[ \n]+/)
  if (statement ~ /^CREATE (FUNCTION|AGGREGATE) /) {
    sub(/^CREATE /, "CREATE OR REPLACE ", statement)
    print statement
  } else if (statement ~ /^CREATE TYPE [a-z_]+;/) {
    sub(/;.*/, "", words[3])
    guarded("ann_update_has_type(" quoted(words[3]) ", false)", statement)
  } else if (statement ~ /^CREATE TYPE [a-z_]+ \(/) {
    guarded("ann_update_has_type(" quoted(words[3]) ", true)", statement, "ALTER TYPE " words[3] " SET (STORAGE = " \
      value_of("STORAGE", statement) (statement ~ /SUBSCRIPT = / ? ", SUBSCRIPT = " value_of("SUBSCRIPT", statement) : "") ");")
  } else if (statement ~ /^CREATE CAST /) {
    match(statement, /\([^)]* AS [^)]*\)/)
    split(substr(statement, RSTART + 1, RLENGTH - 2), words, " AS ")
    guarded("ann_update_has_cast(" quoted(words[1]) ", " quoted(words[2]) ")", statement)
  } else if (statement ~ /^CREATE OPERATOR CLASS /) {
    match(statement, /USING [a-z]+/)
    words[1] = substr(statement, RSTART + 6, RLENGTH - 6)
    guarded("ann_update_has_class(" quoted(words[4]) ", " quoted(words[1]) ")", statement, class_update(statement, words[4], words[1]))
  } else if (statement ~ /^CREATE OPERATOR /) {
    words[1] = value_of("LEFTARG", statement)
    words[2] = value_of("RIGHTARG", statement)
    guarded("ann_update_has_operator(" quoted(words[3]) ", " quoted(words[1]) ", " quoted(words[2]) ")", statement,
      operator_update(statement, words[3], "(" words[1] ", " words[2] ")"))
  } else if (statement ~ /^CREATE ACCESS METHOD /) {
    guarded("ann_update_has_method(" quoted(words[4]) ")", statement)
  } else if (statement ~ /^(COMMENT|REVOKE|DO|ALTER OPERATOR FAMILY|CREATE TYPE [a-z_]+ AS) /) {
    print statement
  } else {
    print "update.awk: a statement of no kind that it knows: " statement > "/dev/stderr"
    failed = 1
    exit 1
  }
}

statement == "" && (/^--/ || /^$/) { print; next }
{
  statement = statement == "" ? $0 : statement "\n" $0
  dollars += gsub(/\$\$/, "&")
  if (/;$/ && dollars % 2 == 0) { emit(statement); statement = ""; dollars = 0 }
}
END { if (!failed && statement != "") { print "update.awk: an unfinished statement" > "/dev/stderr"; exit 1 } }
