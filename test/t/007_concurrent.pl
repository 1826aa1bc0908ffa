# Inserts, updates, deletes, searches and vacuums at once; no search comes back short, and what is left
# at the end is intact and complete.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_base load_queries recall unordered is_intact no_crash);

my $seconds = 20;
my $node = new_node('concurrent', "max_connections = 30\n");
load_queries($node, 200);
load_base($node, 0, 10000);
# Ids below 1000 stay for good, so that 10 rows can always be found, and a place of their own.
$node->safe_psql('postgres', q{
CREATE TABLE pool AS TABLE base;
ALTER TABLE pool ADD PRIMARY KEY (id);
DELETE FROM base WHERE id >= 3000;
CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops) WITH (m = 8);
CREATE SEQUENCE ids START 100000;
CREATE FUNCTION search_complete(q vector, k int) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
  good bool;
BEGIN
  SELECT count(*) = k AND count(DISTINCT id) = k INTO good FROM (SELECT id FROM base ORDER BY v <=> q LIMIT k) r;
  IF NOT good THEN
    RAISE EXCEPTION 'a search for % rows came back short or with a row twice', k;
  END IF;
  RETURN true;
END $$});

my %scripts = (
	insert => q{
\set i random(0, 9999)
INSERT INTO base SELECT nextval('ids'), v FROM pool WHERE id = :i;
},
	delete => q{
\set i random(1000, 9999)
DELETE FROM base WHERE id = (SELECT id FROM base WHERE id >= :i ORDER BY id LIMIT 1) AND id >= 1000;
},
	update => q{
\set i random(1000, 2999)
\set j random(0, 9999)
UPDATE base SET v = (SELECT v FROM pool WHERE id = :j) WHERE id = :i;
},
	rollback => q{
\set i random(0, 9999)
BEGIN;
INSERT INTO base SELECT nextval('ids'), v FROM pool WHERE id BETWEEN :i AND :i + 3;
ROLLBACK;
},
	search => q{
\set i random(0, 199)
SET enable_seqscan = off;
SELECT search_complete((SELECT v FROM query WHERE id = :i), 10);
SELECT search_complete((SELECT v FROM query WHERE id = :i), 200);
},
);
my @files;
for my $name (sort keys %scripts)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
	append_to_file($file, $scripts{$name});
	push @files, '-f', $file . '@' . ($name eq 'search' ? 4 : $name eq 'insert' ? 3 : 1);
}
my ($out, $err) = ('', '');
my $bench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 6, '-j', 2, '-T', $seconds, @files, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>', \$out, '2>', \$err);
my $end = time() + $seconds - 1;
my $vacuums = 0;
while (time() < $end)
{
	$node->safe_psql('postgres', 'DELETE FROM base WHERE id IN (SELECT id FROM base WHERE id >= 100000 ORDER BY random() LIMIT 100); VACUUM base');
	$vacuums++;
}
ok($bench->finish, 'every client finished its work');
unlike($err, qr/aborted|ERROR/, 'no client met an error') or diag($err);
like($out, qr/number of transactions actually processed: [1-9]\d\d/, 'hundreds of transactions');
cmp_ok($vacuums, '>=', 3, "$vacuums vacuums meanwhile");
no_crash($node, 'no backend died');

for my $when ('after the storm', 'after a last vacuum')
{
	is_intact($node, 'base_v', "$when: intact");
	is($node->safe_psql('postgres', q{SELECT count(*) || ' ' || count(DISTINCT id) FROM nearest('base', '<=>', (SELECT v FROM query WHERE id = 0), 1000000)}),
		$node->safe_psql('postgres', q{SELECT count(*) || ' ' || count(*) FROM base}),
		"$when: every row is returned once");
	is(unordered($node, 'base', '<=>', 20), 0, "$when: rows in order");
	$node->safe_psql('postgres', 'VACUUM base');
}
my $recall = recall($node, 'base', '<=>', 10);
$node->safe_psql('postgres', 'REINDEX INDEX base_v');
my $fresh = recall($node, 'base', '<=>', 10);
# Four times the churn of 003, in no fixed order, and half the links: more chance, a wider margin.
cmp_ok($recall, '>=', $fresh - 0.03, "recall\@10 $recall, of a fresh index $fresh");

$node->stop;
done_testing();
