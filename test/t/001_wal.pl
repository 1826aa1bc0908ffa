# A standby gives the same answers as its primary after every round of changes; each replayed page is
# compared with the primary's (wal_consistency_checking).
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use AnnTest qw(new_node new_standby load_base load_queries answers is_intact no_crash);

my $dims = 64;
my $primary = new_node('primary', "wal_consistency_checking = 'generic'\nmax_wal_size = 1GB\n", allows_streaming => 1);
my $standby = new_standby($primary, 'standby');

sub same_answers
{
	my ($round) = @_;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	for my $op ('<->', '<=>')
	{
		is(answers($standby, 'base', $op, 10), answers($primary, 'base', $op, 10), "$round: same answers by $op");
	}
	is_intact($standby, $_, "$round: $_ intact on the standby") for qw(base_l2 base_cosine);
	return;
}

load_queries($primary, 20, $dims);
load_base($primary, 0, 1000, $dims);
# One index by the build, one from nothing by inserts.
$primary->safe_psql('postgres', q{
CREATE INDEX base_l2 ON base USING hnsw (v vector_l2_ops);
CREATE TABLE emptied AS SELECT * FROM base;
DELETE FROM base;
VACUUM base;
CREATE INDEX base_cosine ON base USING hnsw (v vector_cosine_ops);
INSERT INTO base SELECT * FROM emptied});
same_answers('build');

for my $round (1 .. 4)
{
	load_base($primary, 1000 * $round, 1000 * $round + 300, $dims);
	same_answers("insert $round");
	$primary->safe_psql('postgres', "DELETE FROM base WHERE id % 5 = $round");
	same_answers("delete $round");
	$primary->safe_psql('postgres', 'VACUUM base');
	same_answers("vacuum $round");
	$primary->safe_psql('postgres', "UPDATE base SET v = v * v WHERE id % 50 = 10 + $round");
	same_answers("update $round");
}
# What a rollback leaves behind, and a REINDEX
$primary->safe_psql('postgres', "BEGIN; INSERT INTO base SELECT id + 100000, v FROM base LIMIT 200; ROLLBACK");
same_answers('rollback');
$primary->safe_psql('postgres', 'REINDEX TABLE base');
same_answers('reindex');
no_crash($standby, 'the standby found every page as the primary has it');

# A standby that becomes primary goes on from there.
$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', q{
INSERT INTO base SELECT id + 200000, v FROM emptied;
DELETE FROM base WHERE id % 3 = 0;
VACUUM base});
is_intact($standby, $_, "promoted: $_ intact") for qw(base_l2 base_cosine);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM nearest('base', '<->', (SELECT v FROM query WHERE id = 0), 1000000)}),
	$standby->safe_psql('postgres', 'SELECT count(*) FROM base'),
	'promoted: the index returns every row');
$standby->stop;
done_testing();
