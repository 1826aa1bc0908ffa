# Searches read estimates from pages that they neither pin nor lock. Here the buffer pool holds a small
# part of the index, so that pages are evicted and others put in their place under running scans, while
# other sessions insert, update, delete and vacuum. What a search finds must be as good, as complete
# and as well ordered as with every page pinned.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_base load_queries is_intact no_crash);

# So long at least, and until there were so many searches and vacuums.
my $seconds = 20;
my ($least_searches, $least_vacuums) = (200, 3);
my $node = new_node('unpinned', "shared_buffers = 1MB\nbgwriter_lru_maxpages = 100\n");
load_queries($node, 200);
load_base($node, 0, 10000);
$node->safe_psql('postgres', q{
CREATE TABLE pool AS TABLE base;
ALTER TABLE pool ADD PRIMARY KEY (id);
DELETE FROM base WHERE id >= 6000;
VACUUM base;
CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops);
CREATE SEQUENCE ids START 100000;
CREATE TABLE outcome (unpinned bool, hits int, k int, complete bool, ordered bool);

-- One search with unpinned reads on and one with them off, against the exact answer, all under the
-- snapshot of the calling statement (the function is stable).
CREATE FUNCTION compare(q vector, k int, first_on bool) RETURNS SETOF outcome
  LANGUAGE plpgsql STABLE AS $$
DECLARE
  far float8;
  o outcome;
BEGIN
  PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
  EXECUTE 'SELECT max(d) FROM (SELECT v <=> $1 AS d FROM base ORDER BY 1 LIMIT $2) r' INTO far USING q, k;
  PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true);
  o.k := k;
  FOREACH o.unpinned IN ARRAY ARRAY[first_on, NOT first_on] LOOP
    PERFORM set_config('ann.unpinned_reads', o.unpinned::text, true);
    EXECUTE 'SELECT count(*) FILTER (WHERE d <= $3), count(DISTINCT id) = $2 AND count(*) = $2,
               bool_and(d >= before - 1e-6)
             FROM (SELECT id, d, lag(d, 1, -1) OVER (ORDER BY n) AS before
                   FROM (SELECT *, row_number() OVER () AS n
                         FROM (SELECT id, v <=> $1 AS d FROM base ORDER BY v <=> $1 LIMIT $2) a) b) c'
      INTO o.hits, o.complete, o.ordered USING q, k, far;
    RETURN NEXT o;
  END LOOP;
END $$});
cmp_ok($node->safe_psql('postgres', q{SELECT pg_relation_size('base_v') / 8192}), '>', 3 * 128,
	'the index is more than three times as large as the buffer pool');

my %scripts = (
	insert => q{
\set i random(0, 9999)
INSERT INTO base SELECT nextval('ids'), v FROM pool WHERE id = :i;
},
	delete => q{
\set i random(3000, 9999)
DELETE FROM base WHERE id = (SELECT id FROM base WHERE id >= :i ORDER BY id LIMIT 1);
},
	update => q{
\set i random(3000, 5999)
\set j random(0, 9999)
UPDATE base SET v = (SELECT v FROM pool WHERE id = :j) WHERE id = :i;
},
	search => q{
\set i random(0, 199)
INSERT INTO outcome SELECT c.* FROM query q, compare(q.v, 10 + :i % 3 * 20, :i % 2 = 0) c WHERE id = :i;
},
);
my @files;
for my $name (sort keys %scripts)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/unpinned_$name.sql";
	append_to_file($file, $scripts{$name});
	push @files, '-f', $file . '@' . ($name eq 'search' ? 3 : 1);
}
my ($out, $err) = ('', '');
my $bench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 8, '-j', 2, '-T', 36000, @files, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>', \$out, '2>', \$err);
my $begin = time();
my $vacuums = 0;
my $searches = 0;
while (time() < $begin + $seconds || $searches < $least_searches || $vacuums < $least_vacuums)
{
	die "$searches searches, $vacuums vacuums" if time() > $begin + $PostgreSQL::Test::Utils::timeout_default;
	$node->safe_psql('postgres', 'DELETE FROM base WHERE id IN (SELECT id FROM base WHERE id >= 100000 ORDER BY random() LIMIT 50); VACUUM base');
	$vacuums++;
	$searches = $node->safe_psql('postgres', 'SELECT count(*) FROM outcome');
}
$bench->signal('INT');
$bench->finish;
unlike($err, qr/aborted|ERROR/, 'no client met an error') or diag($err);
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'}) or die 'clients go on';

# Sessions tell what they have read a while after.
my $read = q{(SELECT idx_blks_read FROM pg_statio_user_indexes WHERE indexrelname = 'base_v')};
ok($node->poll_query_until('postgres', "SELECT $read >= 20 * $searches"), "$searches searches, and pages of the index were replaced under them")
  or diag($node->safe_psql('postgres', "SELECT $read"));
is($node->safe_psql('postgres', 'SELECT count(*) FROM outcome WHERE NOT complete'), 0,
	'no search came back short or with a row twice');
# What a search emits is ordered by bounds that come from unpinned reads. Without the checks around them
# two searches in three are out of order here; without the second one alone, one in thousands.
is($node->safe_psql('postgres', 'SELECT count(*) FROM outcome WHERE NOT ordered'), 0,
	'no search came back out of order');
my $hits = 'SELECT sum(hits)::float8 / sum(k) FROM outcome WHERE unpinned = ';
my ($on, $off) = map { $node->safe_psql('postgres', $hits . $_) } qw(true false);
cmp_ok($off, '>=', 0.95, "recall with every page pinned $off");
cmp_ok($on, '>=', $off - 0.01, "recall with unpinned reads $on");
is_intact($node, 'base_v', 'what is left is intact');
no_crash($node, 'no backend died');

$node->stop;
done_testing();
