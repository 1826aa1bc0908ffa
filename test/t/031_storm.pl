# Everything at once: inserts, upserts, updates of every kind, deletes, rollbacks, searches, vacuums,
# index builds, retrainings, under ten clients and over nine indexes of one table; another table starts empty again
# and again. And the server dies in the middle of it. No search may come back short, unordered or with a row twice, and none may lack a row
# that its snapshot sees; what is left after each crash and at the end is intact, complete and as good
# as a fresh index.
#
# `make test-storm` runs it for ten minutes, with more crashes and with autovacuum. STORM_SECONDS,
# STORM_CRASHES and STORM_SEED say how long, how often and in which order.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_base load_queries recall unordered is_intact wait_for_recovery);

my $seconds = $ENV{STORM_SECONDS} // 30;
my $crashes = $ENV{STORM_CRASHES} // 2;
my $seed = $ENV{STORM_SEED} // 1;
my $autovacuum = $seconds >= 60;
my $dims = 64;
note("seed $seed, $seconds s, $crashes crashes");
srand($seed);

# Small buffers, so that pages come and go; checkpoints, so that recovery begins anywhere.
my $node = new_node('storm', "bgwriter_lru_maxpages = 100\nshared_buffers = 4MB\nrestart_after_crash = on\n"
	  . "wal_level = replica\nmax_wal_size = 64MB\nlog_statement = none\nmin_parallel_index_scan_size = 0\n"
	  . ($autovacuum ? "autovacuum = on\nautovacuum_naptime = 1s\nautovacuum_vacuum_threshold = 20\n"
		  . "autovacuum_vacuum_scale_factor = 0\nautovacuum_vacuum_cost_limit = 2000\nautovacuum_vacuum_insert_threshold = 100\nlog_autovacuum_min_duration = 0\n" : ''));

sub sql { return $node->safe_psql('postgres', $_[0]); }

# A view for each index gives its rows as (id, v): the planner sees through it.
# base_part: no condition that base_l2's attributes know, or that index would do as well, by what statistics say at the time.
# base_ip: m = 6 would leave nothing of the floor below, .03: turnover under inner product costs .028 of recall there
# (src/hnsw/README.md, "Insert"), by one client as by eight.
my %indexes = (
	base_cosine => { op => '<=>', key => 'v', with => 'm = 8' },
	base_l2 => { op => '<->', key => 'v', attributes => ', kind, n', with => 'm = 16, code_bits = 4' },
	base_ip => { op => '<#>', key => 'v', with => 'm = 12, ef_construction = 100' },
	base_l1 => { op => '<+>', key => 'v', with => 'm = 6, ef_construction = 32' },
	base_part => { op => '<->', key => 'v', with => 'm = 12', where => 'kind + 0 = 0' },
	base_head => { op => '<->', key => '(subvector(v, 1, 24)::halfvec(24))', type => 'halfvec', with => 'm = 12' },
	young_cosine => { table => 'young', op => '<=>', key => 'v', with => 'm = 10' },
	young_l1 => { table => 'young', op => '<+>', key => 'v', with => 'm = 10' },
	base_ivf => { method => 'ivf', op => '<=>', key => '(subvector(v, 1, 48)::halfvec(48))', type => 'halfvec', attributes => ', kind, n', with => 'lists = 20' },
	base_heap => { method => 'ivf', op => '<#>', key => '(subvector(v, 9, 40)::vector(40))', with => 'lists = 12, rerank = heap', where => 'kind <> 1' },
	base_pq => { method => 'ivf', op => '<->', key => '(subvector(v, 17, 32)::vector(32))', with => 'lists = 12, quantizer = pq, rerank = index' },
	young_ivf => { method => 'ivf', table => 'young', op => '<->', key => 'v', with => 'lists = 0' },
	young_flat => { method => 'ivfflat', table => 'young', op => '<#>', key => 'v', with => 'lists = 5' },
);
my @names = sort keys %indexes;
my @base = grep { !$indexes{$_}{table} } @names;
my @ivf = grep { $indexes{$_}{method} } @names;
my $last_base = $#base;
my $last_index = $#names;
my %class = ('<=>' => 'cosine_ops', '<->' => 'l2_ops', '<#>' => 'ip_ops', '<+>' => 'l1_ops');

sub definition
{
	my ($name, $how) = @_;
	my $i = $indexes{$name};
	return "CREATE INDEX $how ON " . ($i->{table} // 'base') . ' USING ' . ($i->{method} // 'hnsw') . " ($i->{key} " . ($i->{type} // 'vector') . "_$class{$i->{op}}" . ($i->{attributes} // '') . ") WITH ($i->{with}) WHERE "
	  . ($i->{where} // 'true');
}

# Ids up to 999 stay for good, so that enough rows are always there, in each kind too. The others come
# and go within a ring, so that the table keeps its size. `note` alone changes HOT. Indexes of `young`
# begin without rows.
my $ids = 4000;
load_queries($node, 200, $dims);
load_base($node, 0, 10000, $dims);
sql(qq{
ALTER TABLE base RENAME TO pool;
ALTER INDEX base_pkey RENAME TO pool_pkey;
ALTER DATABASE postgres SET ivfflat.iterative_scan = strict_order;
CREATE TABLE base (id int PRIMARY KEY, v vector($dims) NOT NULL, kind int NOT NULL, n int, note text) WITH (fillfactor = 80);
INSERT INTO base SELECT id, v, id % 4, id FROM pool WHERE id < $ids * 3 / 4;
CREATE INDEX base_n ON base (n);
CREATE TABLE young (id serial PRIMARY KEY, v vector($dims))});
for my $name (@names)
{
	my $i = $indexes{$name};
	sql(definition($name, $name));
	sql("CREATE VIEW ${name}_rows AS SELECT id, $i->{key} AS v FROM " . ($i->{table} // 'base') . ' WHERE ' . ($i->{where} // 'true'));
	sql("CREATE VIEW ${name}_queries AS SELECT id, $i->{key} AS v FROM query");
}
sql(q{
CREATE TABLE targets (i int PRIMARY KEY, name text, op text);
INSERT INTO targets VALUES }
	  . join(', ', map { "($_, '$names[$_]', '$indexes{$names[$_]}{op}')" } 0 .. $last_index)
	  . q{;
-- One search for k rows by index `target`.
CREATE FUNCTION search(target int, query int, k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t targets;
  q vector;
BEGIN
  SELECT * INTO STRICT t FROM targets WHERE i = target;
  EXECUTE format('SELECT v FROM %s_queries WHERE id = $1', t.name) INTO STRICT q USING query;
  IF NOT in_order((t.name || '_rows')::regclass, t.op, q, k) THEN
    RAISE EXCEPTION 'a search for % rows by % came back short, out of order or with a row twice', k, t.name;
  END IF;
END $$;

-- The same among one kind's rows
CREATE FUNCTION search_kind(target int, query int, k int, wanted int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t targets;
  good bool;
BEGIN
  SELECT * INTO STRICT t FROM targets WHERE i = target;
  SET LOCAL enable_seqscan = off;
  SET LOCAL enable_sort = off;
  EXECUTE format('SELECT count(*) = $2 AND count(DISTINCT id) = $2 AND bool_and(kind = $3) FROM
    (SELECT id, kind FROM base WHERE kind = $3 ORDER BY v %s (SELECT v FROM query WHERE id = $1) LIMIT $2) r', t.op)
    INTO good USING query, k, wanted;
  IF NOT good THEN
    RAISE EXCEPTION 'a search for % rows of kind % by % came back short', k, wanted, t.name;
  END IF;
END $$;

-- The same among rows that another index knows
CREATE FUNCTION search_set(query int, k int, low int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  q vector := (SELECT v FROM query r WHERE r.id = search_set.query);
  good bool;
BEGIN
  SET LOCAL enable_seqscan = off;
  SET LOCAL enable_sort = off;
  SELECT (SELECT count(DISTINCT id) = count(*) AND count(*) = (SELECT count(*) FROM (SELECT FROM base WHERE n BETWEEN low AND low + 400 LIMIT k) wanted)
    FROM (SELECT id FROM base WHERE n BETWEEN low AND low + 400 ORDER BY v <=> q LIMIT k) found) INTO good;
  IF NOT good THEN
    RAISE EXCEPTION 'a search for % rows of a set came back short or with a row twice', k;
  END IF;
END $$;

-- A search without end gives the rows that its snapshot sees, each once.
CREATE FUNCTION search_all(target int, query int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t targets;
  q vector;
  l record;
BEGIN
  SELECT * INTO STRICT t FROM targets WHERE i = target;
  EXECUTE format('SELECT v FROM %s_queries WHERE id = $1', t.name) INTO STRICT q USING query;
  l := lost((t.name || '_rows')::regclass, t.op, q);
  IF l.lacking <> 0 OR l.again <> 0 THEN
    RAISE EXCEPTION '% lacks % rows and gives % again', t.name, l.lacking, l.again;
  END IF;
END $$;

-- The same by a cursor that stands still now and then, while vacuum takes away what its snapshot no
-- longer sees and others use the slots. For transactions of one snapshot.
CREATE FUNCTION search_slowly(target int, query int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  t targets;
  c refcursor;
  q vector;
  next int;
  found_ids int[];
  lacking bigint;
BEGIN
  SELECT * INTO STRICT t FROM targets WHERE i = target;
  EXECUTE format('SELECT v FROM %s_queries WHERE id = $1', t.name) INTO STRICT q USING query;
  SET LOCAL enable_seqscan = off;
  SET LOCAL enable_sort = off;
  OPEN c FOR EXECUTE format('SELECT id FROM %s_rows ORDER BY v %s $1', t.name, t.op) USING q;
  LOOP
    FETCH c INTO next;
    EXIT WHEN NOT FOUND;
    found_ids := found_ids || next;
    IF cardinality(found_ids) IN (1, 30, 300, 2000) THEN
      PERFORM pg_sleep(0.1);
    END IF;
  END LOOP;
  EXECUTE format('SELECT count(*) FROM (SELECT id FROM %s_rows EXCEPT ALL SELECT unnest($1)) r', t.name)
    INTO lacking USING found_ids;
  IF lacking <> 0 OR cardinality(found_ids) > (SELECT count(DISTINCT id) FROM unnest(found_ids) id) THEN
    RAISE EXCEPTION 'a slow search by % lacks % rows or gives some again', t.name, lacking;
  END IF;
END $$});

for my $name (@names)
{
	like(sql(qq{
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM ${name}_rows ORDER BY v $indexes{$name}{op} (SELECT v FROM ${name}_queries WHERE id = 1) LIMIT 10}),
		qr/Index Scan using $name on/, "searches of ${name}_rows use the index");
}

like(sql(q{SET enable_seqscan = off; SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM base WHERE n BETWEEN 100 AND 500 ORDER BY v <=> (SELECT v FROM query WHERE id = 1) LIMIT 60}),
	qr/Ann Filter Scan.*base_n/s, 'searches of a set use the index of its column');

# Single rows, or rows in order of their ids: the clients cannot deadlock.
my $id = "\\set id random(1000, $ids)\n\\set p random(0, 9999)\n\\set copy random(0, 3)\n\\set kind random(0, 3)\n";
my $search = "\\set i random(0, $last_base)\n\\set any random(0, $last_index)\n\\set q random(0, 199)\n\\set k random(1, 60)\n\\set kind random(0, 3)\n";
my %scripts = (
	insert => [ 6, $id . 'INSERT INTO base SELECT :id, v, :kind, :p FROM pool WHERE id = :p ON CONFLICT DO NOTHING;' ],
	insert_copy => [ 6, $id . 'INSERT INTO base SELECT :id, v, :kind, :p FROM pool WHERE id = :copy ON CONFLICT DO NOTHING;' ],
	upsert => [ 3, $id . 'INSERT INTO base SELECT :id, v, :kind, :p FROM pool WHERE id = :p ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v;' ],
	insert_many => [ 1, $id . "INSERT INTO base SELECT i, v, :kind, :p FROM generate_series(:id, :id + 20) i JOIN pool ON pool.id = :p + i - :id ORDER BY i ON CONFLICT DO NOTHING;" ],
	update_vector => [ 3, "\\set id random(0, $ids)\n\\set p random(0, 9999)\nUPDATE base SET v = (SELECT v FROM pool WHERE id = :p) WHERE id = :id;" ],
	update_same => [ 1, $id . 'UPDATE base SET v = v, n = :p WHERE id = :id;' ],
	update_other => [ 3, "\\set id random(0, $ids)\n\\set p random(0, 9999)\nUPDATE base SET n = :p WHERE id = :id;" ],
	update_kind => [ 2, $id . 'UPDATE base SET kind = :kind WHERE id = :id;' ],
	update_hot => [ 2, "\\set id random(0, $ids)\n\\set p random(0, 9999)\nUPDATE base SET note = repeat('x', :p / 100) WHERE id = :id;" ],
	delete => [ 10, $id . 'DELETE FROM base WHERE id = :id;' ],
	delete_copies => [ 1, $id . 'DELETE FROM base WHERE id IN (SELECT b.id FROM base b JOIN pool p ON p.v = b.v WHERE p.id = :copy AND b.id >= 1000 ORDER BY 1 LIMIT 8 FOR UPDATE OF b SKIP LOCKED);' ],
	rollback => [ 1, $id . 'BEGIN; INSERT INTO base SELECT :id, v, :kind FROM pool WHERE id = :p ON CONFLICT DO NOTHING; '
		  . 'SAVEPOINT s; UPDATE base SET n = n + 1, kind = 0 WHERE id = :id; ROLLBACK TO s; ROLLBACK;' ],
	young => [ 5, "\\set p random(0, 9999)\nINSERT INTO young (v) SELECT v FROM pool WHERE id = :p;" ],
	young_copy => [ 2, "\\set copy random(0, 1)\nINSERT INTO young (v) SELECT v FROM pool WHERE id = :copy;" ],
	young_many => [ 1, "\\set p random(0, 9900)\nINSERT INTO young (v) SELECT v FROM pool WHERE id BETWEEN :p AND :p + 20;" ],
	search => [ 12, $search . 'SELECT search(:i, :q, :k);' ],
	search_kind => [ 3, $search . 'SELECT search_kind(:i, :q, :k, :kind);' ],
	search_set => [ 3, $search . "\\set low random(0, 9000)\nSELECT search_set(:q, :k, :low);" ],
	search_all => [ 1, $search . 'SELECT search_all(:any, :q);' ],
);
# One client of its own: builds beside each other would wait for one another.
my %upkeep = (
	vacuum => [ 5, 'VACUUM base;' ],
	vacuum_index => [ 5, 'VACUUM (INDEX_CLEANUP ON) base;' ],
	vacuum_parallel => [ 2, 'VACUUM (PARALLEL 2, INDEX_CLEANUP ON) base;' ],
	vacuum_slow => [ 1, "SET vacuum_cost_delay = 1;\nSET vacuum_cost_limit = 200;\nVACUUM base;\nRESET vacuum_cost_delay;\nRESET vacuum_cost_limit;" ],
	delete_many => [ 2, "\\set r random(0, 9)\nDELETE FROM base WHERE id IN (SELECT id FROM base WHERE id >= 1000 AND id % 10 = :r ORDER BY id FOR UPDATE SKIP LOCKED);\nVACUUM (INDEX_CLEANUP ON) base;" ],
	create => [ 2, definition('base_cosine', 'CONCURRENTLY extra') . ";\nSELECT ann_index_check('extra');\nDROP INDEX CONCURRENTLY extra;" ],
	young => [ 2, "\\set r random(0, 4)\nDELETE FROM young WHERE id % 5 = :r;\nVACUUM (INDEX_CLEANUP ON) young;" ],
	young_again => [ 2, 'TRUNCATE young;' ],
	map({ ("reindex_$_" => [ 1, "REINDEX INDEX CONCURRENTLY $_;" ]) } @base),
	map({ ("check_$_" => [ 1, "SELECT ann_index_check('$_');" ]) } @names),
	map({ ("retrain_$_" => [ 2, "SELECT ann_retrain('$_');" ]) } @ivf),
);

my %slow = (slow => [ 1, $search . "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT search_slowly(:i, :q);\nCOMMIT;" ]);

# Arguments of pgbench for a set of scripts
sub files
{
	my ($set, %scripts) = @_;
	my @arguments;
	for my $name (sort keys %scripts)
	{
		my ($weight, $text) = @{ $scripts{$name} };
		my $file = "$PostgreSQL::Test::Utils::tmp_check/storm_${set}_$name.sql";
		append_to_file($file, "$text\n");
		push @arguments, '-f', "$file\@$weight";
	}
	return @arguments;
}
my @storm_files = files('storm', %scripts);
my @upkeep_files = files('upkeep', %upkeep);
my @slow_files = files('slow', %slow);

sub start_bench
{
	my ($clients, $duration, @files) = @_;
	my $bench = { out => '', err => '' };
	$bench->{run} = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $clients, '-j', $clients > 1 ? 2 : 1, '-T', $duration, '--random-seed', int(rand(1e9)),
			@files, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \$bench->{out}, '2>', \$bench->{err});
	return $bench;
}

# Intact, and every row is there
sub is_sound
{
	my ($when) = @_;
	# What a build cut short has left; nobody searches it.
	sql("DROP INDEX $_") for split /\n/, sql('SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid');
	sql('DROP INDEX IF EXISTS extra');
	for my $i (0 .. $last_index)
	{
		is_intact($node, $names[$i], "$when: $names[$i] intact");
		my ($rc, $out, $err) = $node->psql('postgres', "SELECT search_all($i, 7)");
		is($err, '', "$when: $names[$i] gives every row once");
	}
	return;
}

# A backend at work, whichever
sub active_backend
{
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (time < $end)
	{
		my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1});
		return $pid if $pid ne '';
		sleep(0.01);
	}
	die 'no backend is at work';
}

# How often each index was searched
sub searches
{
	return map { split /\|/ } split /\n/,
	  sql('SELECT indexrelname, idx_scan FROM pg_stat_user_indexes WHERE indexrelname IN (' . join(', ', map { "'$_'" } @names) . ')');
}

# Those that were not since `searches_before`. By more than the one search before, which may be counted late.
my %searches_before;
sub unsearched
{
	my %now = searches();
	return join(' ', grep { $now{$_} <= $searches_before{$_} + 1 } @names);
}

# --- the storm -------------------------------------------------------------------------------------------
my $transactions = 0;
my $killed = 0;
my $left = $seconds;
my $length;
for my $round (0 .. $crashes)
{
	# Crashes come where the seed says; the last part takes what is left of the time.
	my $last = $round == $crashes;
	$length = $left / ($crashes + 1 - $round) * ($last ? 1 : 0.5 + rand(1));
	$left -= $length;
	%searches_before = searches() if $last;
	my $begin = time;
	my $start = sub {
		return map { start_bench($_->[0], $last ? int($length + 0.5) : 36000, @{ $_->[1] }) }
		  ([ 8, \@storm_files ], [ 1, \@upkeep_files ], [ 1, \@slow_files ]);
	};
	my @bench = $start->();
	if (!$last)
	{
		$node->poll_query_until('postgres', q{SELECT count(*) = 11 FROM pg_stat_activity WHERE backend_type = 'client backend' AND query <> ''})
		  or die 'the clients do not begin';
		sleep($length);
		if ($round % 2)
		{
			# A backend dies, and the server takes the others down and recovers by itself.
			my $log_end = -s $node->logfile;
			kill('KILL', active_backend()) == 1 or die 'no backend was killed';
			$killed++;
			$_->{run}->finish for @bench;
			wait_for_recovery($node, $log_end);
		}
		else
		{
			$node->stop('immediate');
			$_->{run}->finish for @bench;
			$node->start;
		}
		like($_->{err}, qr/server closed the connection|terminating connection|backend died/, "crash $round: in the middle of the clients' work") for @bench;
		unlike($_->{err}, qr/ERROR/, "crash $round: no client met an error before") or diag($_->{err}) for @bench;
		is_sound("crash $round");
		next;
	}
	# On a slow machine it takes longer until everything was done.
	while (1)
	{
		ok($_->{run}->finish, 'every client finished its work') for @bench;
		unlike($_->{err}, qr/aborted|ERROR/, 'no client met an error') or diag($_->{err}) for @bench;
		$transactions += $1 if $bench[0]{out} =~ /transactions actually processed: (\d+)/;
		for my $b (@bench)
		{
			note("$1: $2") while $b->{out} =~ m{SQL script \d+: \S*/storm_(\w+)\.sql\n.*\n - (\d+) transactions}g;
		}
		last if $transactions >= 20 * $length && !unsearched() || time > $begin + $length + $PostgreSQL::Test::Utils::timeout_default;
		@bench = $start->();
	}
}
cmp_ok($transactions, '>=', 20 * $length, "$transactions transactions after the last crash");
is(unsearched(), '', 'each index was searched after the last crash');
is($killed, int($crashes / 2), "$killed backends were killed");
ok($node->poll_query_until('postgres', q{SELECT n_tup_hot_upd > 0 AND n_tup_upd > n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'base'}),
	'some updates were HOT, some went through the indexes');

# --- what the log says -------------------------------------------------------------------------------------
my $log = slurp_file($node->logfile);
is(() = $log =~ /terminated by signal/g, $killed, 'no backend died but those that were killed') or diag($log =~ /(.*terminated by signal.*)/);
my @unexpected = grep {
	/(ERROR|WARNING|FATAL|PANIC|TRAP|leak)/
	  # What a crash does to the clients. Autovacuum steps back before a command that wants its lock; a worker that has
	  # not started within autovacuum_naptime, a second here, is given up with a warning and started again.
	  && !/FATAL:  the database system is (starting up|in recovery mode|shutting down|not yet accepting connections)/
	  && !/WARNING:  terminating connection (because of crash of another server process|due to immediate shutdown command)/
	  && !($autovacuum && /ERROR:  canceling autovacuum task|WARNING:  (autovacuum )?worker (took too long to start|started without a worker entry)/)
} split /\n/, $log;
is("@unexpected", '', 'nothing unexpected in the log');
ok(!$autovacuum || $log =~ /automatic vacuum of table "postgres\.public\.(base|young)"/, 'autovacuum was at work') or diag('no automatic vacuum in the log');

# --- what is left ------------------------------------------------------------------------------------------
is_sound('after the storm');
sql('VACUUM base; VACUUM young');
is_sound('after a last vacuum');
for my $name (@names)
{
	my ($rows, $op) = ("${name}_rows", $indexes{$name}{op});
	is(sql("SELECT unordered('$rows', '$op', 20, '${name}_queries')"), 0, "$name: rows in order");
	# One list of five, ivfflat's default, finds about half of them, and which half is chance.
	my $found = "SET ivfflat.probes = 3; SELECT recall('$rows', '$op', 10, '${name}_queries')";
	my $recall = sql($found);
	my $stats = sql("SELECT concat_ws(', ', 'rows ' || rows, 'nodes ' || nodes, 'chunks ' || chain_chunks, 'lists ' || lists) FROM ann_index_stats('$name')");
	sql("REINDEX INDEX $name");
	my $fresh = sql($found);
	cmp_ok($recall, '>=', $fresh - 0.03, "$name: recall\@10 $recall, of a fresh index $fresh; $stats");
}

$node->stop;
done_testing();
