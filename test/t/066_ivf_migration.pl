# `centroids = 'schema.table'` through pg_upgrade, and through a dump whose schema is restored before the data.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils ();
use AnnTest qw(new_node init_node load_random is_intact);

my $old = new_node('migrated');
load_random($old, 'pool', 1000, 16);
$old->safe_psql('postgres', q{
CREATE SCHEMA zoo;
CREATE TABLE zoo.means AS SELECT v FROM pool WHERE id <= 12;
CREATE TABLE t AS SELECT id, v FROM pool;
CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH (centroids = 'zoo.means');
CREATE TABLE flat AS SELECT id, v FROM pool;
CREATE INDEX flat_v ON flat USING ivfflat (v vector_l2_ops) WITH (lists = 20)});
my $epoch = q{SELECT lists, epoch, rows FROM ann_index_stats('t_v')};
my $every_row = q{SELECT lacking, again FROM lost('t', '<->', (SELECT v FROM pool WHERE id = 1))};
is($old->safe_psql('postgres', $epoch), '12|1|1000', 'an index whose lists a table gives');

# --- a schema without data, then the data: what the centroids are is not known when the index is made ------
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
$old->command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $old->connstr('postgres') ], 'pg_dump');
$old->safe_psql('postgres', 'CREATE DATABASE restored');
$old->command_ok([ 'pg_restore', '--exit-on-error', '--schema-only', '-d', $old->connstr('restored'), $file ], 'the schema is restored');
$old->command_ok([ 'pg_restore', '--exit-on-error', '--data-only', '-d', $old->connstr('restored'), $file ], 'then the data');
my ($rc, $out, $err) = $old->psql('restored', 'VACUUM t');
is("$rc $err", '0 ', 'a vacuum says nothing');
like($old->safe_psql('restored', $epoch), qr/^12\|\d+\|1000$/, '... and makes the lists that the table gives');
is($old->safe_psql('restored', $every_row), '0|0', '... with every row');
is_intact($old, 't_v', 'intact');

# --- pg_upgrade: the index's file comes along, while the table that gave its centroids is not there yet -----
$old->safe_psql('postgres', 'DROP DATABASE restored');
$old->stop;
my $new = PostgreSQL::Test::Cluster->new('upgraded');
init_node($new);
my $bindir = $old->config_data('--bindir');
# It writes where it is called.
chdir(PostgreSQL::Test::Utils::tempdir()) or die 'cannot go to a folder of the test';
PostgreSQL::Test::Utils::command_ok([ "$bindir/pg_upgrade", '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
$new->start;
is($new->safe_psql('postgres', $epoch), '12|1|1000', 'the lists have come along');
is($new->safe_psql('postgres', $every_row), '0|0', '... with every row');
is_intact($new, $_, "$_: intact after pg_upgrade") for 't_v', 'flat_v';
$new->safe_psql('postgres', q{INSERT INTO t SELECT id + 1000, v FROM pool; DELETE FROM t WHERE id % 3 = 0; VACUUM t; SELECT ann_retrain('t_v'), ann_retrain('flat_v')});
is($new->safe_psql('postgres', $every_row), '0|0', 'it is written to, vacuumed and trained anew');
is_intact($new, $_, "$_: intact") for 't_v', 'flat_v';
$new->stop;
done_testing();
