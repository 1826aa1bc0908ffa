# A build tells how far it is and keeps within its memory; it, searches and inserts end when they are
# cancelled.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_base load_queries recall is_intact no_crash psql_code);

my $node = new_node('build');
load_base($node, 0, 10000);
load_queries($node, 100);

# Progress, seen from another session; the build is cancelled when a thousand rows are done.
my ($out, $err) = ('', '');
my $session = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-v', 'VERBOSITY=verbose', '-c',
		'CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops) WITH (m = 48, ef_construction = 400)' ],
	'>', \$out, '2>', \$err);
my (%phases, $total, $done_most);
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
while (time() < $end)
{
	my $row = $node->safe_psql('postgres', 'SELECT phase, tuples_total, tuples_done FROM pg_stat_progress_create_index');
	my ($phase, $tuples_total, $tuples_done) = split /\|/, $row;
	if (defined $phase && $phase =~ s/^building index: //)
	{
		$phases{$phase} = 1;
		$total = $tuples_total if $tuples_total;
		$done_most = $tuples_done if $tuples_done && $tuples_done > ($done_most // 0);
		last if defined $done_most && $done_most > 1000 && $total;
	}
	sleep(0.02);
}
my @known = ('initializing', 'sampling rows', 'loading tuples', 'linking nodes', 'writing pages');
my %known = map { $_ => 1 } @known;
is(join(', ', grep { !$known{$_} } keys %phases), '', 'phases: ' . join(', ', sort keys %phases));
ok(scalar(%phases), 'a phase was seen');
# Equal rows are linked once.
cmp_ok($total // 0, '>', 9000, "tuples_total $total");
is($node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index}), 't', 'a running build is cancelled');
{
	local $SIG{ALRM} = sub { $node->stop('immediate'); die 'a cancelled build does not end' };
	alarm($PostgreSQL::Test::Utils::timeout_default);
	$session->finish;
	alarm(0);
}
like($err, qr/ERROR:\s+57014/, 'as cancelled');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'base_v'}), 0, 'and leaves no index');

# Builds that do not fit the memory they are given still end, and well.
for my $memory ('1MB', '3MB')
{
	my ($rc, $stdout, $stderr) = $node->psql('postgres', "SET maintenance_work_mem = '$memory'; CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops)");
	is($rc, 0, "maintenance_work_mem = $memory: the index is built");
	like($stderr, qr/NOTICE:  hnsw graph no longer fits into maintenance_work_mem after \d+ rows.*HINT:  Increase maintenance_work_mem/s, "maintenance_work_mem = $memory: a notice says that it was too small");
	my $recall = recall($node, 'base', '<->', 10);
	cmp_ok($recall, '>=', 0.95, "maintenance_work_mem = $memory: recall\@10 $recall");
	is_intact($node, 'base_v', "maintenance_work_mem = $memory: intact");
	$node->safe_psql('postgres', 'DROP INDEX base_v');
}

# Cancelled at any time: a build in each of its phases, a search, and inserts.
my %cancelled;
sub is_cancelled
{
	my ($ms, $name, $sql) = @_;
	# It dies where a statement takes longer than the tests' time limit.
	my ($code, $text) = psql_code($node, "SET statement_timeout = $ms; $sql");
	like($code, qr/^(57014|00000)$/, "$name, cancelled after $ms ms: with no other error") or diag($text);
	$cancelled{$name} += $code eq '57014';
	return;
}
for my $ms (5, 20, 50, 100, 200, 400, 800, 1600)
{
	is_cancelled($ms, 'build', 'CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops)');
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS base_v');
	is_cancelled($ms, 'build without memory', q{SET maintenance_work_mem = '1MB'; CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops)});
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS base_v');
}
$node->safe_psql('postgres', q{
CREATE TABLE grown (LIKE base);
CREATE INDEX grown_v ON grown USING hnsw (v vector_l2_ops);
INSERT INTO grown SELECT * FROM base WHERE id < 1000});
for my $ms (5, 20, 100, 400)
{
	is_cancelled($ms, 'inserts', 'INSERT INTO grown SELECT * FROM base WHERE id >= 1000');
	is_intact($node, 'grown_v', "inserts, cancelled after $ms ms: intact");
	# Searches to the very last row, by the sweep
	is_cancelled($ms, 'searches', q{SET enable_seqscan = off; SET enable_sort = off;
SELECT count(*) FROM query q, LATERAL (SELECT id FROM grown ORDER BY v <-> q.v LIMIT 1000000) r, query p});
}
cmp_ok($cancelled{$_}, '>', 1, "$cancelled{$_} x $_ cancelled") for sort keys %cancelled;
is($node->safe_psql('postgres', q{SELECT lacking, again FROM lost('grown', '<->', (SELECT v FROM query WHERE id = 0))}),
	'0|0', 'after cancelled inserts: every row is returned once');

# The same table gives the same index.
$node->safe_psql('postgres', q{
CREATE INDEX base_a ON base USING hnsw (v vector_l2_ops);
CREATE INDEX base_b ON base USING hnsw (v vector_l2_ops);
CHECKPOINT});
my @pages = map { slurp_file($node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('base_$_')")) } qw(a b);
# LSNs and checksums are not the index's own.
for my $file (@pages) { substr($file, $_ * 8192, 10) = '' for reverse 0 .. length($file) / 8192 - 1; }
ok($pages[0] eq $pages[1], 'two builds give the same pages');

no_crash($node, 'no backend died');
$node->stop;
done_testing();
