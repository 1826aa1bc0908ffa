# An index that was created before its rows re-centres itself: it answers as a fresh one does, while it
# happens, after it was interrupted or the server killed, on a standby, and to a cursor that was open
# all the while.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node new_standby load_base load_queries recall unordered answers is_intact no_crash at_stop cancel_at);

my $node = new_node('recentre', "wal_consistency_checking = 'generic'\n", allows_streaming => 1);
load_base($node, 0, 5000);
load_queries($node, 60);
my $standby = new_standby($node, 'recentre_standby');

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub state_of { return sql("SELECT epoch || ' ' || recentring FROM ann_index_stats('$_[0]')"); }

# As a fresh index: at each of these ef, and with nothing set.
my %operators = (l2 => '<->', cosine => '<=>', ip => '<#>', l1 => '<+>');
for my $metric (qw(l2 cosine ip l1))
{
	sql(qq{
CREATE TABLE grown (LIKE base);
CREATE INDEX grown_v ON grown USING hnsw (v vector_${metric}_ops);
SET ann.recentre_rows = 300;
INSERT INTO grown SELECT * FROM base});
	is(state_of('grown_v'), '1 false', "$metric: re-centred");
	# The mean of some 300 rows is as good as that of ten times as many, which is remembered.
	cmp_ok(sql(q{SELECT mean_rows FROM ann_index_stats('grown_v')}), '>=', 3000, "$metric: the mean stands for all");
	is_intact($node, 'grown_v', "$metric: intact");
	is(unordered($node, 'grown', $operators{$metric}, 50), 0, "$metric: in order");
	my $grown = recall($node, 'grown', $operators{$metric}, 10);
	sql('REINDEX INDEX grown_v');
	my $fresh = recall($node, 'grown', $operators{$metric}, 10);
	cmp_ok($grown, '>=', $fresh - 0.01, "$metric: recall\@10 $grown, of a fresh index $fresh");
	sql('DROP TABLE grown');
}

# A re-centring by a vacuum
my @vacuum = ('SET ann.recentre_rows = 100', 'VACUUM kept');

sub answers_well
{
	my ($name) = @_;
	is(unordered($node, 'kept', '<->', 50), 0, "$name: in order");
	my $recall = recall($node, 'kept', '<->', 10);
	cmp_ok($recall, '>=', 0.95, "$name: recall\@10 $recall");
	return;
}

sub is_sound
{
	my ($name) = @_;
	is_intact($node, 'kept_v', "$name: intact");
	answers_well($name);
	return;
}

sub standby_agrees
{
	my ($name) = @_;
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is(answers($standby, 'kept', '<->', 20), answers($node, 'kept', '<->', 20), "$name: the standby answers alike");
	is_intact($standby, 'kept_v', "$name: intact on the standby");
	return;
}

sql(q{
CREATE TABLE kept (LIKE base);
CREATE INDEX kept_v ON kept USING hnsw (v vector_l2_ops);
SET ann.recentre_rows = 1000000;
INSERT INTO kept SELECT * FROM base WHERE id < 280;
VACUUM kept});
is(state_of('kept_v'), '0 false', 'not yet');

# A cursor that has begun before the first re-centring and ends after the second.
my $cursor = $node->background_psql('postgres');
$cursor->query_safe(q{
BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off;
DECLARE c CURSOR FOR SELECT id, v <-> (SELECT v FROM query WHERE id = 3) FROM kept ORDER BY v <-> (SELECT v FROM query WHERE id = 3)});
my $rows = $cursor->query_safe('FETCH 40 FROM c');

# Cancelled; then an insert goes on.
cancel_at($node, 'recentre.coded', 3, 'cancelled', @vacuum);
is(state_of('kept_v'), '1 true', 'cancelled: half of it is done');
is_sound('cancelled');
standby_agrees('cancelled');
$rows .= "\n" . $cursor->query_safe('FETCH 60 FROM c');
# Copies are known from codes of either epoch.
my $nodes = sql(q{SELECT nodes FROM ann_index_stats('kept_v')});
sql('SET ann.recentre_rows = 1000000; INSERT INTO kept SELECT 10000 + id, v FROM kept WHERE id IN (1, 50, 100, 150, 279)');
is(state_of('kept_v'), '1 true', 'copies make no node, so nothing goes on');
is(sql(q{SELECT nodes FROM ann_index_stats('kept_v')}), $nodes, 'and copies have joined their nodes');
is_sound('gone on');

sql('INSERT INTO kept SELECT * FROM base WHERE id = 280');
is(state_of('kept_v'), '1 false', 'an insert has gone on to the end');
$nodes++;
sql('INSERT INTO kept SELECT 11000 + id, v FROM kept WHERE id IN (1, 50, 100, 150, 279)');
is(sql(q{SELECT nodes FROM ann_index_stats('kept_v')}), $nodes, 'copies join nodes that were coded anew');
is_sound('gone on');

# The rows that come now lie elsewhere: the mean moves again.
sql(q{
SET ann.recentre_rows = 100;
INSERT INTO kept SELECT 20000 + id, v + array_fill(0.02::real, ARRAY[384])::vector FROM base WHERE id >= 2000});
is(state_of('kept_v'), '2 false', 'tenfold, with another mean');
is_sound('again');
standby_agrees('again');
$rows .= "\n" . $cursor->query_safe('FETCH ALL FROM c');
$cursor->query_safe('COMMIT');
$cursor->quit;
my @distances = map { (split /\|/)[1] } split /\n/, $rows;
my @ids = map { (split /\|/)[0] } split /\n/, $rows;
my %seen;
is(scalar(grep { $seen{$_}++ } @ids), 0, 'no row comes twice out of the cursor');
is(scalar(grep { $_ >= 10000 } @ids), 0, 'nor one that its snapshot does not see');
is(scalar(@ids), 280, 'and every other row does');
is(scalar(grep { $distances[$_] < $distances[ $_ - 1 ] - 1e-6 } 1 .. $#distances), 0, 'they are in order');

# Many at once, and a vacuum: a fresh table, empty again and again.
sql('CREATE TABLE crowd (LIKE base)');
for my $round (1, 2)
{
	sql('TRUNCATE crowd; DROP INDEX IF EXISTS crowd_v; CREATE INDEX crowd_v ON crowd USING hnsw (v vector_cosine_ops)');
	my @clients = map {
		my $client = $_;
		IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', qq{SET ann.recentre_rows = 20}, '-c', qq{
DO \$\$ BEGIN FOR i IN 0..149 LOOP
  INSERT INTO crowd SELECT * FROM base WHERE id = $client + 8 * i;
  PERFORM id FROM crowd ORDER BY v <=> (SELECT v FROM query WHERE id = i % 60) LIMIT 5;
  COMMIT;
END LOOP; END \$\$} ], '>', '/dev/null', '2>&1')
	} 0 .. 7;
	sql('SET ann.recentre_rows = 20; VACUUM crowd') for 1 .. 3;
	my $failed = 0;
	for (@clients) { $failed++ unless $_->finish; }
	is($failed, 0, "crowd $round: all clients are through");
	is(sql('SELECT count(*) FROM crowd'), 1200, "crowd $round: with all rows");
	like(state_of('crowd_v'), qr/^[1-9]\d* false$/, "crowd $round: re-centred");
	is_intact($node, 'crowd_v', "crowd $round: intact");
	is(sql(q{SELECT lacking, again FROM lost('crowd', '<=>', (SELECT v FROM query WHERE id = 0))}), '0|0', "crowd $round: all are found once");
	my $recall = recall($node, 'crowd', '<=>', 10);
	cmp_ok($recall, '>=', 0.95, "crowd $round: recall\@10 $recall");
}

# Killed; then a vacuum goes on.
sql(q{
DROP INDEX kept_v; CREATE TABLE rows AS SELECT * FROM kept; TRUNCATE kept;
CREATE INDEX kept_v ON kept USING hnsw (v vector_l2_ops);
SET ann.recentre_rows = 1000000; INSERT INTO kept SELECT * FROM rows; VACUUM kept});
at_stop($node, 'recentre.coded', 9, sub {
	answers_well('under way');
	is(state_of('kept_v'), '1 true', 'it is under way when the server dies');
	# Its WAL is on disk when another transaction's is.
	sql('CREATE TABLE flushed ()');
	$node->stop('immediate');
	$node->start;
}, @vacuum);
is(state_of('kept_v'), '1 true', 'killed: half of it is done');
is_sound('killed');
sql('VACUUM kept');
is(state_of('kept_v'), '1 false', 'a vacuum has gone on to the end');
is_sound('after the vacuum');
standby_agrees('after the vacuum');
is(sql(q{SELECT lacking, again FROM lost('kept', '<->', (SELECT v FROM query WHERE id = 0))}), '0|0', 'all rows are found once');
no_crash($_, 'no backend of ' . $_->name . ' died') for $node, $standby;

$node->stop;
$standby->stop;
done_testing();
