# ann takes the place of an extension named vector: never beside it, and with the same SQL.
use strict;
use warnings;
use Test::More;
use Config;
use File::Path qw(make_path);
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_random);

# A copy of the installed files with an extension called vector beside them.
my $temp_config = slurp_file($ENV{TEMP_CONFIG});
my ($destdir) = $temp_config =~ /^extension_destdir = '(.*)'/m;
my ($control_path) = $temp_config =~ /^extension_control_path = '(.*)'/m;
plan skip_all => 'the server finds extensions in its own directory only'
  unless defined $destdir || defined $control_path;
my $dest = PostgreSQL::Test::Utils::tempdir_short();
chomp(my $share = `pg_config --sharedir`);
my $settings;
make_path("$dest$share/extension");
if (defined $destdir)
{
	PostgreSQL::Test::RecursiveCopy::copypath($destdir, "$dest/copy");
	$dest = "$dest/copy";
	$settings = "extension_destdir = '$dest'\n";
}
else
{
	$settings = "extension_control_path = '$dest$share:" . substr($control_path, 0) . "'\n";
}
append_to_file("$dest$share/extension/vector.control", "comment = 'another'\ndefault_version = '1'\nrelocatable = true\n");
append_to_file("$dest$share/extension/vector--1.sql", "CREATE FUNCTION vector_of_another() RETURNS int LANGUAGE sql AS 'SELECT 1';\n");

my $node = new_node('migration', $settings);
$node->safe_psql('postgres', 'CREATE DATABASE taken');
$node->safe_psql('taken', 'CREATE EXTENSION vector');
my ($rc, $out, $err) = $node->psql('taken', 'CREATE EXTENSION ann', extra_params => [ '-v', 'VERBOSITY=verbose' ]);
isnt($rc, 0, 'CREATE EXTENSION ann stops beside extension vector');
like($err, qr/"ann".*"vector"/, 'its message names both');
like($err, qr/HINT:.*(dump|pg_dump)/is, 'its hint tells how to migrate');
unlike($err, qr/XX000/, 'it is no internal error');
is($node->safe_psql('taken', q{SELECT count(*) FROM pg_am WHERE amname = 'hnsw'}), 0, 'it leaves nothing behind');
$node->safe_psql('taken', 'DROP EXTENSION vector; CREATE EXTENSION ann');
is($node->safe_psql('taken', q{SELECT '[1,2]'::vector <-> '[1,3]'}), 1, 'without vector it can be created');

# What stands in dumps of databases that used pgvector, but for the extension's name
$node->safe_psql('postgres', 'CREATE DATABASE dumped');
$node->safe_psql('dumped', q{
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE EXTENSION IF NOT EXISTS ann WITH SCHEMA public;
CREATE TABLE public.items (id bigint NOT NULL, embedding public.vector(3));
COPY public.items (id, embedding) FROM stdin;
1	[1,2,3]
2	[4,5,6]
3	\N
\.
CREATE INDEX items_l2 ON public.items USING hnsw (embedding public.vector_l2_ops) WITH (m='16', ef_construction='64');
CREATE INDEX items_cosine ON public.items USING hnsw (embedding public.vector_cosine_ops);
CREATE INDEX items_ip ON public.items USING hnsw (embedding public.vector_ip_ops);
CREATE INDEX items_l1 ON public.items USING hnsw (embedding public.vector_l1_ops);
ALTER DATABASE dumped SET "hnsw.ef_search" TO '100';
ALTER DATABASE dumped SET "hnsw.iterative_scan" TO 'relaxed_order';
ALTER DATABASE dumped SET "hnsw.max_scan_tuples" TO '20000';
ALTER DATABASE dumped SET "hnsw.scan_mem_multiplier" TO '2'});
is($node->safe_psql('dumped', q{SET enable_seqscan = off; SELECT id FROM items ORDER BY embedding <-> '[3,3,3]' LIMIT 5}), "1\n2", 'its queries work');
is($node->safe_psql('dumped', 'SHOW hnsw.ef_search'), 100, 'its settings hold');

# dump and restore of our own
load_random($node, 'base', 500, 12);
$node->safe_psql('postgres', q{
CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops) WITH (m = 8, ef_construction = 100);
CREATE INDEX base_n ON base USING hnsw ((l2_normalize(v)::vector(12)) vector_ip_ops) WHERE id > 100});
my $file = $PostgreSQL::Test::Utils::tmp_check . '/migration.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $file ], 'pg_restore');
my $indexes = q{SELECT pg_get_indexdef(oid) FROM pg_class WHERE relname IN ('base_v', 'base_n') ORDER BY 1};
is($node->safe_psql('restored', $indexes), $node->safe_psql('postgres', $indexes), 'restored indexes are defined alike');
my $query = q{SET enable_seqscan = off; SELECT id FROM base ORDER BY v <=> (SELECT v FROM base WHERE id = 5) LIMIT 20};
is($node->safe_psql('restored', $query), $node->safe_psql('postgres', $query), 'and answer alike');

# another schema, and moving there
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', q{
CREATE SCHEMA ext; CREATE EXTENSION ann SCHEMA ext; SET search_path = public, ext;
CREATE TABLE t (v vector(2)); CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
INSERT INTO t VALUES ('[1,2]');
CREATE SCHEMA ext2; ALTER EXTENSION ann SET SCHEMA ext2});
is($node->safe_psql('elsewhere', q{SET search_path = public; SET enable_seqscan = off; INSERT INTO t VALUES ('[3,4]');
SELECT v FROM t ORDER BY v OPERATOR(ext2.<->) '[4,4]'}), "[3,4]\n[1,2]", 'an index works with the extension out of the search_path');
$node->safe_psql('elsewhere', 'DROP TABLE t; DROP EXTENSION ann');
is($node->safe_psql('elsewhere', q{SELECT count(*) FROM pg_am WHERE amname = 'hnsw'}), 0, 'DROP EXTENSION takes all with it');

$node->stop;
done_testing();
