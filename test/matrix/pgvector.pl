# Coming from pgvector and going back, with pgvector itself: dumps both ways, binary COPY both ways, and a switch in place.
# ann's files are in ANN_INSTALL, pgvector's where the server looks by itself.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use AnnTest;
use PostgreSQL::Test::Cluster;

my ($bindir, $share, $libdir) = map { chomp(my $x = `pg_config --$_`); $x } qw(bindir sharedir pkglibdir);
die 'pgvector is not installed' unless -e "$share/extension/vector.control" && -e "$libdir/vector.so";
die 'it is not pgvector' if slurp_file("$share/extension/vector.control") =~ /\$libdir\/ann/;
my $temp_config = slurp_file($ENV{TEMP_CONFIG});
my $dest = PostgreSQL::Test::Utils::tempdir_short() . '/copy';
PostgreSQL::Test::RecursiveCopy::copypath("$ENV{ANN_TREE}/$ENV{ANN_INSTALL}", $dest);
my $beside = $temp_config;    # ann beside pgvector
system('make', '-s', '-C', $ENV{ANN_TREE}, 'install-shim-scripts', "DESTDIR=$dest") == 0 or die 'no shim';
my $instead = $temp_config =~ /^extension_destdir/m ? "extension_destdir = '$dest'\n"
  : "extension_control_path = '$dest$share:\$system'\ndynamic_library_path = '$dest$libdir:\$libdir'\n";

my $node = PostgreSQL::Test::Cluster->new('pgvector');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\n$beside");
$node->start;
my $tmp = $PostgreSQL::Test::Utils::tmp_check;

# Half of the rows of one database in each of its tables; `dense` and `half` have indexes of both methods.
my $tables = q{
CREATE TABLE dense (id int PRIMARY KEY, v vector(8));
CREATE TABLE half (id int PRIMARY KEY, v halfvec(8));
CREATE TABLE sparse (id int PRIMARY KEY, v sparsevec(8));
CREATE TABLE bits (id int PRIMARY KEY, v bit(8));
INSERT INTO dense SELECT i, ARRAY(SELECT ((i * 79 + j * 1047) * (i + j) % 1009 / 8.0)::real FROM generate_series(1, 8) j)::vector FROM generate_series(1, 800) i;
INSERT INTO dense VALUES (801, NULL);
INSERT INTO half SELECT id, v::halfvec FROM dense;
INSERT INTO sparse SELECT id, ('{' || (id % 8 + 1) || ':' || id / 4.0 || '}/8')::sparsevec FROM half;
INSERT INTO bits SELECT id, (id * 37 % 256)::bit(8) FROM dense;
CREATE VIEW means AS SELECT avg(v) AS mean, sum(v) AS sum FROM dense;
};
my $indexes = q{
CREATE INDEX dense_l2 ON dense USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 64);
CREATE INDEX dense_cosine ON dense USING hnsw (v vector_cosine_ops);
CREATE INDEX dense_ip ON dense USING hnsw (v vector_ip_ops);
CREATE INDEX dense_l1 ON dense USING hnsw (v vector_l1_ops);
CREATE INDEX dense_lists ON dense USING ivfflat (v vector_l2_ops) WITH (lists = 10);
CREATE INDEX half_l2 ON half USING hnsw (v halfvec_l2_ops);
CREATE INDEX half_lists ON half USING ivfflat (v halfvec_cosine_ops) WITH (lists = 10);
CREATE INDEX dense_order ON dense (v);
CREATE INDEX sparse_order ON sparse (v);
};
my %search = (
	dense_l2 => q{SELECT id FROM dense ORDER BY v <-> (SELECT v FROM dense WHERE id = 17) LIMIT 1},
	dense_cosine => q{SELECT id FROM dense ORDER BY v <=> (SELECT v FROM dense WHERE id = 17) LIMIT 1},
	dense_l1 => q{SELECT id FROM dense ORDER BY v <+> (SELECT v FROM dense WHERE id = 17) LIMIT 1},
	half => q{SELECT id FROM half ORDER BY v <-> (SELECT v FROM half WHERE id = 17) LIMIT 1});
my @contents = map { "SELECT * FROM $_ ORDER BY id" } qw(dense half sparse bits);
my $contents = join('; ', @contents) . q{; SELECT id, v <-> '[1,2,3,4,5,6,7,8]', v <=> '[1,2,3,4,5,6,7,8]', v <#> '[1,2,3,4,5,6,7,8]' FROM dense ORDER BY id;
SELECT id, v <+> '[1,2,3,4,5,6,7,8]', l2_norm(v) FROM half ORDER BY id; SELECT id, v <-> '{1:1}/8' FROM sparse ORDER BY v, id; SELECT id, v <~> B'10101010' FROM bits ORDER BY id; SELECT * FROM means};

sub create
{
	my ($name, $extension, $sql) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, "CREATE EXTENSION $extension; " . ($sql // ''));
	return;
}
sub searches_are_exact
{
	my ($name, $what) = @_;
	for my $index (sort keys %search)
	{
		is($node->safe_psql($name, "SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = 100; SET ivfflat.probes = 10; $search{$index}"), 17, "$what: $index finds a row by itself");
	}
	return;
}

# --- into ann -------------------------------------------------------------------------------------------
create('theirs', 'vector', "$tables $indexes");
is($node->safe_psql('theirs', q{SELECT count(*) > 0 FROM pg_proc WHERE probin = '$libdir/vector'}), 't', 'the first database is of pgvector itself');
diag('pgvector ' . $node->safe_psql('theirs', q{SELECT extversion FROM pg_extension WHERE extname = 'vector'}) . ', ' . $node->safe_psql('theirs', 'SHOW server_version'));
create('into_ann', 'ann');

# The list of a dump without the entries that match, and a restore by it.
sub restore_without
{
	my ($from, $to, $without) = @_;
	my $dump = "$tmp/$from.dump";
	command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr($from) ], "pg_dump of $from");
	my $list = "$tmp/$from.list";
	append_to_file($list, join('', grep { !/$without/ } map { "$_\n" } split(/\n/, `pg_restore -l $dump`)));
	command_ok([ 'pg_restore', '--exit-on-error', '-L', $list, '-d', $node->connstr($to), $dump ], "pg_restore into $to");
	return;
}
restore_without('theirs', 'into_ann', qr/EXTENSION .*vector/);
is($node->safe_psql('into_ann', $contents), $node->safe_psql('theirs', $contents), 'rows and distances are the same in ann');
is($node->safe_psql('into_ann', q{SELECT count(*) FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE amname IN ('hnsw', 'ivfflat')}), 7, 'its indexes are there');
searches_are_exact('into_ann', 'into ann');
(my $plain = `pg_dump -d "@{[ $node->connstr('theirs') ]}"`) =~ s/^(CREATE EXTENSION IF NOT EXISTS|COMMENT ON EXTENSION) vector /$1 ann /mg;
append_to_file("$tmp/plain.sql", $plain);
$node->safe_psql('postgres', 'CREATE DATABASE plain');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$tmp/plain.sql", '-d', $node->connstr('plain') ], 'a plain dump with the name replaced');
is($node->safe_psql('plain', $contents), $node->safe_psql('theirs', $contents), 'gives the same');

# --- binary COPY, both ways -------------------------------------------------------------------------------
create('copied', 'ann', "CREATE TABLE dense (id int, v vector(8)); CREATE TABLE half (id int, v halfvec(8)); CREATE TABLE sparse (id int, v sparsevec(8)); CREATE TABLE bits (id int, v bit(8))");
for my $table (qw(dense half sparse bits))
{
	my %of;
	$node->safe_psql('theirs', "\\copy (SELECT * FROM $table ORDER BY id) TO '$tmp/$table.theirs' WITH (FORMAT binary)");
	$node->safe_psql('copied', "\\copy $table FROM '$tmp/$table.theirs' WITH (FORMAT binary)");
	$node->safe_psql('copied', "\\copy (SELECT * FROM $table ORDER BY id) TO '$tmp/$table.ours' WITH (FORMAT binary)");
	ok(slurp_file("$tmp/$table.theirs") eq slurp_file("$tmp/$table.ours"), "binary COPY of $table: a file of pgvector loads, and ann writes the same");
}

# --- and back ---------------------------------------------------------------------------------------------
$node->safe_psql('into_ann', q{CREATE INDEX only_ours ON dense USING ivf (v vector_l2_ops); CREATE TABLE kept AS SELECT * FROM dense});
create('back', 'vector');
restore_without('into_ann', 'back', qr/EXTENSION .*ann|INDEX public only_ours/);
is($node->safe_psql('back', $contents), $node->safe_psql('theirs', $contents), 'back in pgvector rows and distances are the same');
is($node->safe_psql('back', q{SELECT count(*) FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE amname IN ('hnsw', 'ivfflat')}), 7, 'and its indexes are there');

# --- in place, under the name vector ----------------------------------------------------------------------
create('fresh', 'vector');
my $before = $node->safe_psql('theirs', $contents);
my $pooled = $node->background_psql('theirs', on_error_stop => 0);
is($pooled->query(q{SELECT '[1,2]'::vector <-> '[1,4]'}), 2, 'a session that uses pgvector');
$node->append_conf('postgresql.conf', $instead);
$node->reload;
my ($rc, $out, $err) = $node->psql('fresh', q{SELECT '[1,2]'::vector; ALTER EXTENSION vector UPDATE});
like($err, qr/has loaded pgvector's library/, 'a session that has used pgvector cannot update');
($rc, $out, $err) = $node->psql('theirs', 'ALTER EXTENSION vector UPDATE');
is($rc, 0, 'ALTER EXTENSION vector UPDATE') or diag($err);
like($err, qr/HINT:.*REINDEX INDEX public\.dense_cosine;.*half_lists;/, 'it lists the indexes');
my $stale = $pooled->query(q{SELECT '[1,2]'::vector <-> '[1,4]'});
like($pooled->{stderr}, qr/has loaded pgvector's library/, 'a session from before is told to connect again');
$pooled->quit;
is($node->safe_psql('theirs', q{SELECT count(*) FROM pg_proc WHERE probin LIKE '%vector'}), 0, 'no function of pgvector is left');
for my $index (sort keys %search)
{
	($rc, $out, $err) = $node->psql('theirs', "SET enable_seqscan = off; SET enable_sort = off; $search{$index}", extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
	like($err, qr/ERROR:  55000/, "until REINDEX $index is an error");
}
for my $write (q{INSERT INTO half SELECT 900, v FROM half WHERE id = 3}, q{VACUUM dense})
{
	($rc, $out, $err) = $node->psql('theirs', $write, extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
	like($err, qr/ERROR:  55000/, "and so is $write");
}
is($node->safe_psql('theirs', "SET enable_indexscan = off; $contents"), $before, 'rows and distances are as before');
$node->safe_psql('theirs', 'REINDEX INDEX CONCURRENTLY dense_l2; REINDEX TABLE dense; REINDEX TABLE CONCURRENTLY half');
searches_are_exact('theirs', 'in place');
$node->safe_psql('theirs', "SELECT ann_index_check('$_')") for qw(dense_l2 dense_cosine dense_ip dense_l1 dense_lists half_l2 half_lists);
is($node->safe_psql('theirs', $contents), $before, 'rows and distances are as before');
$node->safe_psql('theirs', q{INSERT INTO dense SELECT 1000 + id, v FROM dense WHERE id < 50; DELETE FROM dense WHERE id BETWEEN 100 AND 200; VACUUM dense});
searches_are_exact('theirs', 'after writes');
my $members = q{SELECT o.type, o.identity FROM pg_depend d, pg_identify_object(classid, objid, 0) o WHERE refclassid = 'pg_extension'::regclass
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname IN ('ann', 'vector')) AND deptype = 'e' AND o.identity !~ '(handler|_support)\(' ORDER BY 1, 2};
$node->safe_psql('postgres', 'CREATE DATABASE anew; ');
$node->safe_psql('anew', 'CREATE EXTENSION vector');
my %has = map { $_ => 1 } split(/\n/, $node->safe_psql('theirs', $members));
is(join("\n", grep { !$has{$_} } split(/\n/, $node->safe_psql('anew', $members))), '', 'it has what a new database has');
my $operators = q{SELECT oprname, oprleft::regtype, oprcode::regproc, oprrest, oprjoin, oprcom::regoperator, oprnegate::regoperator, oprcanhash AND current_setting('server_version_num')::int >= 170000,
  oprcanmerge AND current_setting('server_version_num')::int >= 170000 FROM pg_operator JOIN pg_depend d ON d.objid = pg_operator.oid AND deptype = 'e' ORDER BY oprname, oprleft::regtype::text, oprright::regtype::text};
is($node->safe_psql('theirs', $operators), $node->safe_psql('anew', $operators), 'its operators are the same');
command_ok([ 'pg_dump', '-Fc', '-f', "$tmp/switched.dump", '-d', $node->connstr('theirs') ], 'pg_dump of the switched database');
$node->safe_psql('postgres', 'CREATE DATABASE switched_copy');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('switched_copy'), "$tmp/switched.dump" ], 'and its restore');
searches_are_exact('switched_copy', 'restored');
$node->stop;
done_testing();
