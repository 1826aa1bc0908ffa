# Little memory and a full disk.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_random is_intact no_crash psql_code orphans unordered);

my $node = new_node('shortage');
my $little = "SET work_mem = '64kB'; SET maintenance_work_mem = '1MB'; SET enable_seqscan = off; SET enable_sort = off;";

# --- memory: builds, inserts, vacuums and scans that must do with the least there is ---------------------
load_random($node, 't', 9000, 16);
load_random($node, 'query', 5, 16);
$node->safe_psql('postgres', qq{
INSERT INTO t SELECT 20000 + i, (SELECT v FROM t WHERE t.id = 1 + i % 7) FROM generate_series(1, 300) i;
$little
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops)});
is_intact($node, 't_v', 'built in 1 MB');

sub complete
{
	my ($what) = @_;
	for my $order ('strict_order', 'relaxed_order')
	{
		is($node->safe_psql('postgres', qq{$little SET hnsw.iterative_scan = $order;
SELECT bool_and((SELECT count(*) = (SELECT count(*) FROM t) AND count(*) = count(DISTINCT id)
  FROM (SELECT id FROM t ORDER BY t.v <-> q.v LIMIT 1000000) r)) FROM query q}), 't', "$what: every row once, $order");
	}
	is($node->safe_psql('postgres', "$little SELECT unordered('t', '<->', 10)"), 0, "$what: in order");
	cmp_ok($node->safe_psql('postgres', "$little SELECT recall('t', '<->', 100)"), '>=', 0.95, "$what: the nearest are found");
	is($node->safe_psql('postgres', qq{$little SELECT count(*) = (SELECT count(*) FROM t) AND count(*) = count(DISTINCT id)
  FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM query WHERE id = 0) LIMIT 1000000) r}), 't', "$what: every row once without a distance");
	return;
}
complete('built');
$node->safe_psql('postgres', qq{$little DELETE FROM t WHERE id % 3 = 0; VACUUM t;
INSERT INTO t SELECT 30000 + i, random_vector(16 + 0 * i) FROM generate_series(1, 2000) i});
is_intact($node, 't_v', 'vacuumed and inserted to');
complete('vacuumed');

# A cursor's memory does not grow with the rows that it has passed.
$node->safe_psql('postgres', q{
CREATE TABLE many AS SELECT i AS id, random_vector(4 + 0 * i)::vector(4) AS v FROM generate_series(1, 4000) i;
INSERT INTO many SELECT id, v FROM many, generate_series(1, 60);
CREATE INDEX many_v ON many USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 16)});
my $bytes = $node->safe_psql('postgres', qq{$little
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM many ORDER BY v <-> '[0, 0, 0, 0]';
MOVE 230000 FROM c;
SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'ann hnsw%';
COMMIT});
cmp_ok($bytes, '<', 800_000, "a cursor takes $bytes bytes behind 230,000 rows");

# --- disk ------------------------------------------------------------------------------------------------
SKIP:
{
	my $small = $ENV{ANN_SMALL_DISK} or skip 'no small disk may be mounted here', 14;
	mkdir("$small/space") or die "cannot make a folder: $!";
	$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$small/space'");
	my $folder = $node->safe_psql('postgres', q{SELECT 'pg_tblspc/' || t.oid || '/' || f || '/' || d.oid
FROM pg_tablespace t, pg_database d, pg_ls_dir('pg_tblspc/' || t.oid) f WHERE spcname = 'small' AND datname = current_database()});
	my $stuff = sub {
		open(my $file, '>', "$small/stuff") or die "cannot write: $!";
		my $chunk = 'x' x 4096;
		while (syswrite($file, $chunk)) { }
		close($file);
	};
	my $room = sub { unlink("$small/stuff") or die "cannot remove: $!" };
	$node->safe_psql('postgres', 'CREATE TABLE wide AS SELECT i AS id, random_vector(400 + 0 * i)::vector(400) AS v FROM generate_series(1, 6000) i');

	for my $memory ('1MB', '64MB')
	{
		my ($code, $err) = psql_code($node, "SET maintenance_work_mem = '$memory'; CREATE INDEX wide_v ON wide USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 8) TABLESPACE small");
		is($code, '53100', "build with $memory: disk full");
		is($node->safe_psql('postgres', "CHECKPOINT; SELECT count(*) FROM pg_class WHERE relname = 'wide_v'"), 0, 'there is no index');
		is(orphans($node, 'postgres', $folder), '', 'and no file of it');
	}

	$node->safe_psql('postgres', q{CREATE TABLE s (id int, v vector(400));
INSERT INTO s SELECT id, v FROM wide WHERE id <= 600;
CREATE INDEX s_v ON s USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 8) TABLESPACE small});
	my $whole = q{SET enable_seqscan = off; SET enable_sort = off;
SELECT count(*) = (SELECT count(*) FROM wide, LATERAL (SELECT 1 FROM s WHERE s.id = wide.id) r) FROM (SELECT id FROM s ORDER BY v <-> (SELECT v FROM wide WHERE id = 3) LIMIT 100000) r};
	$stuff->();
	my ($code) = psql_code($node, 'INSERT INTO s SELECT id, v FROM wide WHERE id > 600');
	is($code, '53100', 'insert: disk full');
	is_intact($node, 's_v', 'intact after inserts that failed');
	is($node->safe_psql('postgres', $whole), 't', 'and complete');
	# A vacuum writes what is there, and needs no room but for the map of free space.
	$node->safe_psql('postgres', 'DELETE FROM s WHERE id % 2 = 0');
	($code) = psql_code($node, 'VACUUM s');
	like($code, qr/^(00000|53100)$/, "vacuum on a full disk: $code");
	is_intact($node, 's_v', 'intact after it');
	$room->();
	$node->safe_psql('postgres', 'VACUUM s; INSERT INTO s SELECT id, v FROM wide WHERE id BETWEEN 601 AND 1500');
	is_intact($node, 's_v', 'intact when there is room again');
	is($node->safe_psql('postgres', $whole), 't', 'and complete');
	is($node->safe_psql('postgres', 'DROP INDEX s_v; CHECKPOINT') . orphans($node, 'postgres', $folder), '', 'no file is left');
	$node->safe_psql('postgres', 'DROP TABLESPACE small');
}
no_crash($node, 'no backend died');
$node->stop;
done_testing();
