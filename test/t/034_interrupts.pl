# Statements that are cancelled, timed out or lose their backend at random moments: what they leave is an
# intact index with every row in it once, no memory of theirs, no pin, no lock and no file.
#
# INTERRUPTS: how many at least, 700 unless set. INTERRUPT_SEED.
use strict;
use warnings;
use IPC::Run;
use Test::More;
use Time::HiRes qw(time usleep);
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node is_intact no_crash orphans seed_random random_below);

my $count = $ENV{INTERRUPTS} || 700;
seed_random($ENV{INTERRUPT_SEED} || 1);
sub pick { return $_[ random_below(scalar @_) ]; }

my $node = new_node('interrupts', "max_parallel_maintenance_workers = 0\n");
my $dims = 16;
$node->safe_psql('postgres', qq{
SELECT setseed(0.3);
CREATE SEQUENCE ids START 100000;
CREATE TABLE t (id int PRIMARY KEY, note int, v vector($dims));
INSERT INTO t SELECT i, 0, random_vector($dims + 0 * i) FROM generate_series(1, 1500) i;
INSERT INTO t SELECT 3000 + i, 0, (SELECT v FROM t WHERE t.id = 1 + i % 20) FROM generate_series(1, 400) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 8);
CREATE TABLE other AS SELECT id, v FROM t WHERE id % 3 = 0;
CREATE TABLE l AS TABLE t;
CREATE INDEX l_v ON l USING ivf (v vector_l2_ops, note) WITH (lists = 8);
CREATE INDEX l_flat ON l USING ivf (v vector_cosine_ops) WITH (lists = 4, quantizer = flat)});

# [ name, run before it without interruption, the statement ]
my $rows = "SELECT nextval('ids'), 0, random_vector($dims + 0 * i) FROM generate_series(1, 60) i";
my @statements = (
	[ 'build', 'DROP INDEX IF EXISTS other_v', 'CREATE INDEX other_v ON other USING hnsw (v vector_l2_ops, id)' ],
	[ 'build in little memory', "DROP INDEX IF EXISTS other_v; SET maintenance_work_mem = '1MB'", 'CREATE INDEX other_v ON other USING hnsw (v vector_cosine_ops)' ],
	[ 'build beside writers', 'DROP INDEX IF EXISTS other_v', 'CREATE INDEX CONCURRENTLY other_v ON other USING hnsw ((v::halfvec(16)) halfvec_ip_ops, id)' ],
	[ 'reindex', '', 'REINDEX INDEX t_v' ],
	[ 'insert', '', "INSERT INTO t $rows" ],
	[ 'insert of equal vectors', '', "INSERT INTO t SELECT nextval('ids'), 1, v FROM t WHERE id <= 60" ],
	[ 'update', '', "UPDATE t SET note = note + 1 WHERE id % 50 = " . random_below(50) ],
	[ 'search', '', 'SELECT sum(id) FROM (SELECT (SELECT id FROM t ORDER BY t.v <-> o.v LIMIT 1) AS id FROM other o LIMIT 60) r' ],
	[ 'endless scan', '', "SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> (SELECT random_vector($dims)) LIMIT 1000000) r" ],
	[ 'endless scan in little memory', "SET work_mem = '64kB'", "SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> (SELECT random_vector($dims)) LIMIT 1000000) r" ],
	[ 'filter scans', '', 'SELECT sum(id) FROM (SELECT (SELECT id FROM t WHERE t.id BETWEEN o.id / 2 AND o.id AND t.note >= 0 ORDER BY t.v <-> o.v LIMIT 1 OFFSET 2) AS id FROM other o LIMIT 60) r' ],
	[ 'filter scan in little memory', "SET work_mem = '64kB'", "SELECT count(*) FROM (SELECT id FROM t WHERE id < 1000 OR id > 3000 ORDER BY v <-> (SELECT random_vector($dims))) r" ],
	[ 'cursor', '', "BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> (SELECT random_vector($dims)); FETCH 20 FROM c; MOVE 1000 FROM c; COMMIT" ],
	[ 'vacuum', 'DELETE FROM t WHERE id % 11 = ' . random_below(11) . " AND id % 5 = 1; INSERT INTO t $rows", 'VACUUM t' ],
	[ 'vacuum of chains', 'DELETE FROM t WHERE id > 3000 AND id % 7 = 0', 'VACUUM t' ],
	[ 'check', '', "SELECT ann_index_check('t_v')" ],
	[ 'statistics', '', "SELECT * FROM ann_index_stats('t_v')" ],
	[ 'ivf: build', 'DROP INDEX IF EXISTS other_v', 'CREATE INDEX other_v ON other USING ivf ((v::halfvec(16)) halfvec_l2_ops, id) WITH (lists = 60)' ],
	[ 'ivf: build in little memory', "DROP INDEX IF EXISTS other_v; SET maintenance_work_mem = '1MB'", 'CREATE INDEX other_v ON other USING ivf (v vector_cosine_ops) WITH (lists = 60)' ],
	[ 'ivf: build of pq beside writers', 'DROP INDEX IF EXISTS other_v', 'CREATE INDEX CONCURRENTLY other_v ON other USING ivf (v vector_ip_ops) WITH (quantizer = pq)' ],
	[ 'ivf: reindex', '', 'REINDEX INDEX l_v' ],
	[ 'ivf: insert', '', "INSERT INTO l $rows" ],
	[ 'ivf: update', '', "UPDATE l SET note = note + 1 WHERE id % 50 = " . random_below(50) ],
	[ 'ivf: search', '', 'SELECT sum(id) FROM (SELECT (SELECT id FROM l ORDER BY l.v <-> o.v LIMIT 1) AS id FROM other o LIMIT 60) r' ],
	[ 'ivf: endless scan', '', "SELECT count(*) FROM (SELECT id FROM l ORDER BY v <-> (SELECT random_vector($dims)) LIMIT 1000000) r" ],
	[ 'ivf: endless scan in little memory', "SET work_mem = '64kB'", "SELECT count(*) FROM (SELECT id FROM l ORDER BY v <=> (SELECT random_vector($dims)) LIMIT 1000000) r" ],
	[ 'ivf: vacuum', 'DELETE FROM l WHERE id % 3 = ' . random_below(3) . " AND id % 5 < 4; INSERT INTO l $rows", 'VACUUM l' ],
	[ 'ivf: training anew', '', "SELECT ann_retrain('l_v')" ],
	[ 'ivf: training anew of plain vectors', '', "SELECT ann_retrain('l_flat')" ],
	[ 'ivf: check', '', "SELECT ann_index_check('l_v')" ]);

# The statements that search do so by an index.
for my $s (grep { $_->[2] =~ /^SELECT \w+\(.*ORDER BY/ } @statements)
{
	like($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; EXPLAIN $s->[2]"),
		$s->[0] =~ /^filter/ ? qr/Ann Filter Scan/ : qr/Index Scan using (t|l)_/, "$s->[0]: so it is planned");
}

# A session: sends SQL and waits for a mark.
my ($psql, $in, $out, $pid);
my $marks = 0;
my $sent;

# Whether the answer has come; not: the session has ended. Whatever neither answers nor ends hangs.
sub wait_for
{
	my ($pattern) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	until ($out =~ $pattern || !$psql->pumpable)
	{
		if (time > $deadline)
		{
			$node->stop('immediate');
			die "does not end: $sent";
		}
		$psql->pump_nb;
		usleep(200);
	}
	return $out =~ $pattern;
}

sub connect_session
{
	($in, $out) = ('', '');
	$psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \my $errors);
	($pid) = ask('SET enable_seqscan = off; SET enable_sort = off; SET client_min_messages = warning; SELECT pg_backend_pid()') =~ /^(\d+)$/m
	  or die 'no session';
	return;
}

sub send_sql
{
	$out = '';
	$sent = $_[0];
	++$marks;
	$in .= "\\echo START $marks\n$_[0];\n\\echo MARK $marks :SQLSTATE\n";
	$psql->pump_nb;
	return;
}

# What a statement answers; undef: the session has ended.
sub finish
{
	return wait_for(qr/^MARK $marks \w*$/m) ? $out : undef;
}
sub ask { send_sql($_[0]); return finish(); }

connect_session();
# How long a statement takes; that changes with what else runs on the machine, so what comes too late
# shortens it, down to a quarter, and what does not lengthens it.
my (%typical, %at_first);
for my $s (@statements)
{
	ask($s->[1] || 'SELECT 1');
	my $start = time;
	defined ask($s->[2]) or die "$s->[0]: session lost";
	$typical{ $s->[0] } = $at_first{ $s->[0] } = time - $start;
	ask('RESET maintenance_work_mem; RESET work_mem');
}

my %codes = (57014 => 0, lost => 0);
my @left;
# On a machine where most come too late it takes more of them.
sub enough { return $codes{57014} > $count / 4 && $codes{lost} > $count / 20; }
for (my $n = 1; $n <= $count || $n <= 4 * $count && ($n % 50 != 1 || !enough()); ++$n)
{
	my $s = $statements[ ($n - 1) % @statements ];
	ask($s->[1]) if $s->[1];
	my $moment = int(1e6 * $typical{ $s->[0] } * random_below(800) / 1000);
	my $how = pick('cancel', 'cancel', 'cancel', 'timeout', 'terminate');
	$how = 'cancel' if $how eq 'timeout' && $moment < 1000;
	ask('SET statement_timeout = ' . int($moment / 1000)) if $how eq 'timeout';
	send_sql($s->[2]);
	if ($how ne 'timeout')
	{
		wait_for(qr/^START $marks$/m);
		usleep($moment);
		kill($how eq 'cancel' ? 'INT' : 'TERM', $pid);
	}
	my $answer = finish();
	my $code = 'lost';
	if (defined $answer && $answer =~ /^MARK \d+ (\w+)$/m)
	{
		$code = $1;
		# The session goes on (unless it was terminated just after), with nothing left of the statement.
		# What takes the limit away may itself be timed out.
		my $unlimited;
		do { $unlimited = ask('SET statement_timeout = 0; ROLLBACK; SET statement_timeout = 0; SHOW statement_timeout') }
		  while defined $unlimited && $unlimited !~ /^0$/m;
		my $after = defined $unlimited ? ask("RESET ALL; SET enable_seqscan = off; SET enable_sort = off;
SELECT 'left: ' || string_agg(name, ', ') FROM pg_backend_memory_contexts WHERE name LIKE 'ann %' AND NOT (name = 'ann ivf lists' AND parent = 'CacheMemoryContext');
SELECT 'left: ' || string_agg(mode, ', ') FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('t'::regclass, 't_v'::regclass, 'l'::regclass, 'l_v'::regclass, 'l_flat'::regclass)") : undef;
		push @left, "$s->[0]: $1" if defined $after && $after =~ /^(left: .+)$/m;
		$answer = $after;
	}
	$codes{$code}++;
	if ($code ne '00000') { $typical{ $s->[0] } *= 1.1; }
	elsif ($typical{ $s->[0] } > $at_first{ $s->[0] } / 4) { $typical{ $s->[0] } *= 0.8; }
	if (!defined $answer)
	{
		$psql->finish;
		connect_session();
	}
	next if $n % 50;
	for my $case ([ 't', 't_v', '<->' ], [ 'l', 'l_v', '<->' ], [ 'l', 'l_flat', '<=>' ])
	{
		my ($table, $index, $op) = @$case;
		is_intact($node, $index, "after $n: $index is intact");
		is($node->safe_psql('postgres', "SELECT lacking, again FROM lost('$table', '$op', random_vector($dims))"), '0|0', "after $n: $index finds every row once");
	}
}
$in = "\\q\n";
$psql->finish;
is(join("\n", @left), '', 'nothing is left in a session that goes on');
my $seen = join(', ', map { "$codes{$_} x $_" } sort keys %codes);
is(join(' ', grep { !/^(00000|57014|lost)$/ } keys %codes), '', "how statements ended: $seen");
ok(enough(), 'many were cancelled, some lost their backend');

$node->safe_psql('postgres', 'DROP INDEX IF EXISTS other_v; CHECKPOINT');
is(orphans($node, 'postgres'), '', 'no file is left of an index that was not built');
is(join("\n", grep { /WARNING|leak/ && !/no transaction in progress/ } split /\n/, slurp_file($node->logfile)), '', 'no warnings');
no_crash($node, 'no backend died');
$node->stop;
done_testing();
