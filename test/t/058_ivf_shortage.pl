# ivf in little memory and on a full disk.
use strict;
use warnings;
use Test::More;
use File::Path qw(remove_tree);
use AnnTest qw(new_node load_random is_intact no_crash psql_code orphans);

my $node = new_node('ivf_shortage');
my $little = "SET work_mem = '64kB'; SET maintenance_work_mem = '1MB'; SET enable_seqscan = off; SET enable_sort = off; SET ivfflat.iterative_scan = strict_order;";

# --- memory: builds, inserts, vacuums, retrainings and scans that must do with the least there is ---------
load_random($node, 't', 6000, 16);
load_random($node, 'query', 4, 16);

sub complete
{
	my ($what) = @_;
	for my $order ('strict_order', 'relaxed_order')
	{
		is($node->safe_psql('postgres', qq{$little SET ivf.iterative_scan = $order; SET ivfflat.iterative_scan = $order;
SELECT string_agg(DISTINCT concat_ws(' ', lacking, again), ', ') FROM query q, LATERAL lost('t', '<->', q.v)}), '0 0', "$what: every row once, $order");
	}
	is($node->safe_psql('postgres', "$little SELECT unordered('t', '<->', 10)"), 0, "$what: in order");
	cmp_ok($node->safe_psql('postgres', "$little SET ivf.probes = 150; SET ivfflat.probes = 150; SELECT recall('t', '<->', 100)"), '>=', 0.95, "$what: the nearest are found");
	is($node->safe_psql('postgres', "$little SELECT lacking, again FROM lost('t', '<->', NULL)"), '0|0', "$what: every row once without a distance");
	is_intact($node, 't_v', "$what: intact");
	return;
}
for my $index ('ivf (v vector_l2_ops) WITH (lists = 300)', 'ivf (v vector_l2_ops) WITH (quantizer = pq, pq_bits = 8)', 'ivfflat (v vector_l2_ops) WITH (lists = 200)')
{
	my ($name) = $index =~ /(\w+ = .*)\)/;
	$node->safe_psql('postgres', qq{$little
DELETE FROM t WHERE id > 20000;
INSERT INTO t SELECT 20000 + i, (SELECT v FROM t WHERE t.id = 1 + 3 * (i % 3)) FROM generate_series(1, 300) i;
CREATE INDEX t_v ON t USING $index});
	complete("$name, built");
	$node->safe_psql('postgres', qq{$little DELETE FROM t WHERE id % 3 = 0; VACUUM t;
INSERT INTO t SELECT 30000 + i, random_vector(16 + 0 * i) FROM generate_series(1, 1000) i;
SELECT ann_retrain('t_v')});
	complete("$name, vacuumed, inserted to and trained anew");
	$node->safe_psql('postgres', 'DROP INDEX t_v');
}

# --- disk ------------------------------------------------------------------------------------------------
SKIP:
{
	my $small = $ENV{ANN_SMALL_DISK} or skip 'no small disk may be mounted here', 30;
	# What another test has left there.
	remove_tree($small, { keep_root => 1 });
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
	my $vacuum = sub {
		my ($table, $workers) = @_;
		$workers //= 0;
		my ($rc, $out, $err) = $node->psql('postgres', "SET min_parallel_index_scan_size = 0; SET max_parallel_maintenance_workers = 2; VACUUM (VERBOSE, INDEX_CLEANUP ON, PARALLEL $workers) $table", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
		is($rc, 0, "a vacuum of $table comes to its end") or diag($err);
		return $err;
	};
	$node->safe_psql('postgres', 'CREATE TABLE wide AS SELECT i AS id, random_vector(400 + 0 * i)::vector(400) AS v FROM generate_series(1, 4000) i');

	# A parallel vacuum has no subtransactions: two indexes are what it takes to be one.
	for my $kind ([ 'lists = 30, quantizer = flat', 0 ], [ 'lists = 0, rabitq_bits = 8', 0 ], [ 'lists = 20, rabitq_bits = 8', 2 ])
	{
		my ($options, $workers) = @$kind;
		my ($code) = psql_code($node, "CREATE INDEX wide_v ON wide USING ivf (v vector_l2_ops) WITH ($options) TABLESPACE small");
		is($code, '53100', "build, $options: disk full");
		is($node->safe_psql('postgres', "CHECKPOINT; SELECT count(*) FROM pg_class WHERE relname = 'wide_v'"), 0, 'there is no index');
		is(orphans($node, 'postgres', $folder), '', 'and no file of it');

		$node->safe_psql('postgres', qq{CREATE TABLE s (id int, v vector(400));
INSERT INTO s SELECT id, v FROM wide WHERE id <= 400;
CREATE INDEX s_id ON s (id);
CREATE INDEX s_v ON s USING ivf (v vector_l2_ops) WITH ($options) TABLESPACE small});
		my $sound = sub {
			my ($when) = @_;
			is_intact($node, 's_v', "$options, $when: intact");
			is($node->safe_psql('postgres', q{SELECT lacking, again FROM lost('s', '<->', (SELECT v FROM wide WHERE id = 3))}), '0|0', "$options, $when: complete");
		};
		$stuff->();
		($code) = psql_code($node, 'INSERT INTO s SELECT id, v FROM wide WHERE id > 400');
		is($code, '53100', "$options, insert: disk full");
		$sound->('after inserts that failed');
		($code) = psql_code($node, q{SELECT ann_retrain('s_v')});
		is($code, '53100', "$options, training: disk full");
		$sound->('after a training that failed');
		# A vacuum takes the dead rows out of index and table. Lists may move to pages that are free, or stay
		# where they are, and pages that it cannot tell the free space map of wait, too.
		$node->safe_psql('postgres', 'DELETE FROM s WHERE id % 5 <> 0');
		my $said = $vacuum->('s', $workers);
		is($said =~ /parallel vacuum worker/ ? 1 : 0, $workers > 0 ? 1 : 0, "$options, a vacuum on a full disk with $workers workers");
		like($said, qr/tuples: \d+ removed, 80 remain/, "$options, vacuum on a full disk: the table is clean");
		like($said, qr/WARNING:  53100: index "s_v" was not put in order: there is no room on disk/, '... and it says what it has left');
		is($node->safe_psql('postgres', q{SELECT rows FROM ann_index_stats('s_v')}), 80, '... of an index without its dead rows');
		$sound->('after it');
		$room->();
		$said = $vacuum->('s');
		like($said, qr/index scan not needed/, "$options: the next vacuum has nothing to delete");
		unlike($said, qr/WARNING/, '... and puts the index in order');
		is($node->safe_psql('postgres', q{SELECT dead_slots <= rows FROM ann_index_stats('s_v')}), 't', '... so lists have moved');
		$node->safe_psql('postgres', q{VACUUM s; INSERT INTO s SELECT id, v FROM wide WHERE id BETWEEN 601 AND 900; SELECT ann_retrain('s_v')});
		$sound->('when there is room again');
		is($node->safe_psql('postgres', 'DROP TABLE s; CHECKPOINT') . orphans($node, 'postgres', $folder), '', "$options: no file is left");
	}

	# Nor is it in the way that lists cannot be found anew, or split: VACUUM goes on after either.
	$node->safe_psql('postgres', q{
CREATE TABLE grown (id int, v vector(16));
CREATE INDEX grown_v ON grown USING ivf (v vector_l2_ops) WITH (lists = 10) TABLESPACE small;
CREATE TABLE uneven (id int, v vector(16));
INSERT INTO uneven SELECT i, random_vector(16 + 0 * i) FROM generate_series(1, 1000) i;
CREATE INDEX uneven_v ON uneven USING ivf (v vector_l2_ops) WITH (lists = 20) TABLESPACE small;
INSERT INTO grown SELECT i, random_vector(16 + 0 * i) FROM generate_series(1, 3000) i;
INSERT INTO uneven SELECT i, random_vector(16 + 0 * i) * array_fill(0.01::real, ARRAY[16])::vector + (SELECT v FROM uneven WHERE id = 1) FROM generate_series(1001, 3000) i});
	my $lists = q{SELECT lists FROM ann_index_stats('grown_v') UNION ALL SELECT lists FROM ann_index_stats('uneven_v')};
	my $before = $node->safe_psql('postgres', $lists);
	$stuff->();
	for my $table ('grown', 'uneven')
	{
		like($vacuum->($table), qr/WARNING:  53100: index "${table}_v"/, "$table, on a full disk: the index keeps its lists");
		is((psql_code($node, "VACUUM $table; VACUUM (ANALYZE) $table; SELECT 1"))[0], '00000', '... and the session is well');
	}
	is($node->safe_psql('postgres', $lists), $before, 'the same lists');
	$room->();
	unlike($vacuum->($_), qr/WARNING/, "$_, when there is room") for 'grown', 'uneven';
	is($node->safe_psql('postgres', "SELECT count(*) FROM ($lists) now(n) WHERE n IN (1, 20)"), 0, 'both have other lists');
	is_intact($node, "${_}_v", "$_: intact") for 'grown', 'uneven';
	$node->safe_psql('postgres', 'DROP TABLE grown, uneven; DROP TABLESPACE small');
}
no_crash($node, 'no backend died');
$node->stop;
done_testing();
