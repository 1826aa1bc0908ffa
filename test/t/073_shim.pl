# The extension under the name vector: installed beside nothing that is another's, exclusive with ann, the same SQL,
# and a database of pgvector's turned into one of it. Pgvector itself is not here (make test-matrix has it): a
# stand-in has its names, its numbers of support functions, and the page ids in its indexes.
use strict;
use warnings;
use Test::More;
use File::Path qw(make_path);
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node);

my $tree = $ENV{ANN_TREE};
my $temp_config = slurp_file($ENV{TEMP_CONFIG});
my ($destdir) = $temp_config =~ /^extension_(?:destdir|control_path) = '([^':]*)/m;
plan skip_all => 'the server finds extensions in its own directory only' unless defined $destdir;
chomp(my $share = `pg_config --sharedir`);
my $new_path = $temp_config =~ /^extension_control_path/m;
$destdir =~ s/\Q$share\E$// if $new_path;
my $dest = PostgreSQL::Test::Utils::tempdir_short() . '/copy';
PostgreSQL::Test::RecursiveCopy::copypath($destdir, $dest);
my $dir = "$dest$share/extension";
my $settings = $new_path ? "extension_control_path = '$dest$share:\$system'\n" : "extension_destdir = '$dest'\n";

sub make_target
{
	my ($target) = @_;
	my $out = `make -C '$tree' --no-print-directory $target DESTDIR='$dest' 2>&1`;
	return ($?, $out);
}
sub scripts { return scalar(my @found = glob("$dir/vector--*.sql")); }

# --- files -----------------------------------------------------------------------------------------
my $foreign = "default_version = '0.8.0'\nmodule_pathname = '\$libdir/vector'\n";
append_to_file("$dir/vector.control", $foreign);
my ($rc, $out) = make_target('install-shim');
isnt($rc, 0, 'install-shim refuses beside another vector');
like($out, qr/vector\.control is another extension's/, 'it says why');
is(scripts(), 0, 'and has installed nothing');
make_target('uninstall-shim');
is(slurp_file("$dir/vector.control"), $foreign, 'uninstall-shim leaves it');
unlink("$dir/vector.control");
($rc, $out) = make_target('install-shim-scripts');
is($rc, 0, 'the scripts are installed') or diag($out);
($rc, $out) = make_target('install-shim-scripts');
is($rc, 0, 'and over themselves') or diag($out);
my ($version) = slurp_file("$dir/vector.control") =~ /^default_version = '(.*)'/m;

# The stand-in: of ann's SQL what pgvector has, under a version of pgvector's.
my $standin = '';
my $statement = '';
(my $sql = slurp_file("$dir/vector--$version.sql")) =~ s/^(--.*|  OPERATOR 2 <<.*)\n//mg;
for my $line (split(/^/, $sql))
{
	$statement .= $line;
	next if $line !~ /;$/ || (() = $statement =~ /\$\$/g) % 2;
	$standin .= $statement
	  unless $statement =~ /^\s*(DO|COMMENT|REVOKE)\b|sphere|hash|jsonb|text\[\]|\bivf\b|rrf_|recommend_|mmr\(|FUNCTION (ann_(?!hnsw|ivfflat)|\w+_(subscript|sum)\()|FUNCTION vector_dims\(sparsevec|AGGREGATE (sum|avg)\(sparsevec/;
	$statement = '';
}
$standin =~ s/ann_(hnsw|ivfflat)_handler(?!')/$1handler/g;
$standin =~ s/,\n  HASHES, MERGES//g;
$standin =~ s/ SUBSCRIPT = \w+,\n//g;
$standin =~ s/neqsel, JOIN = neqjoinsel/eqsel, JOIN = eqjoinsel/g;
$standin =~ s/(AGGREGATE sum\(halfvec\) \(\n).*?\);/$1 SFUNC = halfvec_add, STYPE = halfvec, COMBINEFUNC = halfvec_add, PARALLEL = SAFE);/s;
$standin =~ s/(CREATE OPERATOR CLASS halfvec_l2_ops FOR TYPE halfvec USING hnsw AS)/CREATE FUNCTION hnsw_halfvec_support(internal) RETURNS internal AS 'MODULE_PATHNAME', 'ann_hnsw_handler' LANGUAGE C;\n$1 FUNCTION 3 hnsw_halfvec_support(internal),/;
append_to_file("$dir/vector--0.8.0.sql", $standin);

my $node = new_node('shim', $settings);
sub database
{
	my ($name, $sql) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, $sql);
	return;
}

# --- a fresh one -----------------------------------------------------------------------------------
database('fresh', 'CREATE EXTENSION IF NOT EXISTS vector');
is($node->safe_psql('fresh', q{SELECT string_to_array(extversion, '.')::int[] >= '{0,8,0}' FROM pg_extension WHERE extname = 'vector'}), 't', 'clients find a version from 0.8.0 on');
my $members = q{SELECT o.type, o.identity FROM pg_depend d, pg_identify_object(classid, objid, 0) o
  WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname IN ('ann', 'vector')) AND deptype = 'e' ORDER BY 1, 2};
my $of_ann = $node->safe_psql('postgres', $members);
is($node->safe_psql('fresh', $members), $of_ann, 'vector has all that ann has');
my ($err, $any);
($rc, $any, $err) = $node->psql('fresh', 'CREATE EXTENSION ann');
isnt($rc, 0, 'ann is not created beside it');
like($err, qr/"ann".*"vector"/, 'the message names both');
($rc, $any, $err) = $node->psql('postgres', 'CREATE EXTENSION vector');
isnt($rc, 0, 'nor it beside ann');
like($err, qr/"vector".*"ann"/, 'the message names both');
my $table = q{CREATE TABLE t (id int PRIMARY KEY, v vector(3), h halfvec(3));
INSERT INTO t SELECT i, array[i % 7, i % 11, i % 13]::vector, array[i % 7, i % 11, i % 13]::halfvec FROM generate_series(1, 500) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops); CREATE INDEX t_h ON t USING hnsw (h halfvec_l2_ops);
CREATE INDEX t_i ON t USING ivfflat (v vector_cosine_ops) WITH (lists = 5); CREATE INDEX t_b ON t (v);
CREATE VIEW sums AS SELECT sum(v) AS v, sum(h) AS h FROM t};
$node->safe_psql('fresh', $table);
my $file = $PostgreSQL::Test::Utils::tmp_check . '/shim.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('fresh') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $file ], 'pg_restore');
my $nearest = q{SET enable_seqscan = off; SET enable_sort = off; SELECT id FROM t ORDER BY v <-> '[3,5,8]', id LIMIT 1; SELECT id FROM t ORDER BY h <-> '[3,5,8]' LIMIT 1;
SELECT id FROM t ORDER BY v <=> '[3,5,8]' LIMIT 1};
my $answer = $node->safe_psql('fresh', $nearest);
is($node->safe_psql('restored', $nearest), $answer, 'the restored database answers alike');

# --- a switch in place -------------------------------------------------------------------------------
my $as_pgvector = q{CREATE SCHEMA "Of vectors"; CREATE EXTENSION vector SCHEMA "Of vectors" VERSION '0.8.0'};
database('old', "$as_pgvector; SET search_path = public, \"Of vectors\"; $table");
database('blocked', "$as_pgvector; SET search_path = \"Of vectors\"; CREATE FUNCTION rrf_score(bigint, float8) RETURNS float8 LANGUAGE sql AS 'SELECT 1.0::float8'");
is($node->safe_psql('old', q{SELECT count(*) FROM pg_extension e JOIN pg_depend d ON d.refobjid = e.oid JOIN pg_proc p ON p.oid = d.objid
  WHERE extname = 'vector' AND proname ~ 'sphere|rrf|hash|^ann_'}), 0, 'the stand-in lacks what pgvector lacks');
my %file_of = map { $_ => $node->data_dir . '/' . $node->safe_psql('old', "SELECT pg_relation_filepath('$_')") } qw(t_v t_h t_i);
$node->stop;
run_log([ 'pg_checksums', '--disable', '-D', $node->data_dir ]);
for my $index (keys %file_of)
{
	open(my $pages, '+<:raw', $file_of{$index}) or die "cannot open $file_of{$index}: $!";
	seek($pages, 8190, 0);
	print $pages pack('v', $index eq 't_i' ? 0xFF84 : 0xFF90);
	close($pages);
}
$node->start;
($rc, $any, $err) = $node->psql('old', 'ALTER EXTENSION vector UPDATE');
is($rc, 0, 'ALTER EXTENSION vector UPDATE') or diag($err);
like($err, qr/HINT:.*REINDEX INDEX public\.t_h;.*t_i;.*t_v;/, 'it tells which indexes are to be rebuilt');
is($node->safe_psql('old', q{SELECT extversion FROM pg_extension WHERE extname = 'vector'}), $version, 'it is the new version');
my $path = q{SET search_path = public, "Of vectors"; SET enable_seqscan = off; SET enable_sort = off; };
for my $statement ("SELECT id FROM t ORDER BY v <-> '[1,2,3]' LIMIT 1", "SELECT id FROM t ORDER BY v <=> '[1,2,3]' LIMIT 1",
	"INSERT INTO t VALUES (0, '[1,2,3]', '[1,2,3]')", 'VACUUM t', q{SELECT ann_index_check('t_i')})
{
	($rc, $any, $err) = $node->psql('old', "$path\n$statement", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  55000: index "t_\w" was built by pgvector.*HINT:  REINDEX/s, "until they are rebuilt: $statement");
}
$node->safe_psql('old', 'REINDEX TABLE t');
is($node->safe_psql('old', "$path $nearest"), $answer, 'rebuilt, they answer as a fresh one');
$node->safe_psql('old', "SELECT \"Of vectors\".ann_index_check('$_')") for keys %file_of;
is($node->safe_psql('old', "$path SELECT v, h FROM sums"), $node->safe_psql('fresh', 'SELECT v, h FROM sums'), 'views hold');
(my $now = $node->safe_psql('old', $members)) =~ s/"Of vectors"/public/g;
$now = join("\n", sort grep { !/(hnsw|ivfflat)handler\(|hnsw_halfvec_support/ } split(/\n/, $now));
is($now, join("\n", sort split(/\n/, $of_ann)), 'it has all that ann has');
my $attributes = q{
SELECT p.oid::regprocedure, provolatile, proparallel, proisstrict, procost, prosrc, probin FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND deptype = 'e' WHERE proname !~ 'handler|support';
SELECT oprname, oprleft::regtype, oprright::regtype, oprcode, oprrest, oprjoin, oprcom::regoperator, oprnegate::regoperator FROM pg_operator o JOIN pg_depend d ON d.objid = o.oid AND deptype = 'e';
SELECT opcname, amname, opcdefault, amopstrategy, amopopr::regoperator FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod JOIN pg_amop o ON o.amopfamily = opcfamily JOIN pg_depend d ON d.objid = c.oid AND deptype = 'e';
SELECT opcname, amname, amprocnum, amproc::regprocedure FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod JOIN pg_amproc p ON p.amprocfamily = opcfamily JOIN pg_depend d ON d.objid = c.oid AND deptype = 'e' WHERE amprocnum < 3;
SELECT aggfnoid::regprocedure, aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype, agginitval FROM pg_aggregate g JOIN pg_depend d ON d.objid = g.aggfnoid AND deptype = 'e';
SELECT castsource::regtype, casttarget::regtype, castfunc::regproc, castcontext FROM pg_cast c JOIN pg_depend d ON d.objid = c.oid AND deptype = 'e';
SELECT typname, typsubscript, typstorage FROM pg_type t JOIN pg_depend d ON d.objid = t.oid AND deptype = 'e'};
my ($switched, $fresh) = map { s/(?:"Of vectors"|public)\.//g; join("\n", sort split(/\n/, $_)) } $node->safe_psql('old', qq{SET search_path = "Of vectors"; $attributes}),
  $node->safe_psql('fresh', $attributes);
is($switched, $fresh, 'and each of it alike');
is($node->safe_psql('old', "$path SELECT count(*) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE amname IN ('hnsw', 'ivf', 'ivfflat') AND NOT amvalidate(c.oid)"), 0, 'its operator classes are sound');
($rc, $any, $err) = $node->psql('blocked', 'ALTER EXTENSION vector UPDATE');
like($err, qr/ERROR:.*rrf_score/, 'a function of a user under a name of ours stops the update');
is($node->safe_psql('blocked', q{SELECT extversion, "Of vectors".l2_distance('[1]'::"Of vectors".vector, '[3]') FROM pg_extension WHERE extname = 'vector'}), '0.8.0|2', 'and all is as before');
is($node->safe_psql('blocked', q{SELECT count(*) FROM pg_proc WHERE proname LIKE 'ann_update%'}), 0, 'without traces');
$node->stop;

# --- and away ---------------------------------------------------------------------------------------
($rc, $out) = make_target('uninstall-shim');
is($rc, 0, 'uninstall-shim') or diag($out);
unlink("$dir/vector--0.8.0.sql");
is(join(' ', glob("$dir/vector*")), '', 'nothing of it is left');
done_testing();
