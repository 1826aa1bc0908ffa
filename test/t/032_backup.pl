# Backups taken while rows come and go: a base backup, recovery to a restore point, to a transaction and
# to a time, and dumps. Whatever is restored has an index that is intact and gives the table's rows.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_base load_queries recall unordered answers no_crash);

my $dims = 64;
my $node = new_node('origin', "log_statement = none\n", allows_streaming => 1, has_archiving => 1);

sub sql { return $node->safe_psql('postgres', $_[0]); }

load_queries($node, 100, $dims);
load_base($node, 0, 10000, $dims);
sql(qq{
ALTER TABLE base RENAME TO pool;
ALTER INDEX base_pkey RENAME TO pool_pkey;
CREATE TABLE base (id int PRIMARY KEY, v vector($dims));
INSERT INTO base SELECT * FROM pool WHERE id < 2000;
CREATE INDEX base_cosine ON base USING hnsw (v vector_cosine_ops) WITH (m = 8);
CREATE INDEX base_l2 ON base USING hnsw (v vector_l2_ops, id) WITH (code_bits = 4);
CREATE INDEX base_evens ON base USING hnsw (v vector_ip_ops) WHERE id % 2 = 0;
CREATE VIEW evens AS SELECT * FROM base WHERE id % 2 = 0;
CREATE TABLE mark (name text)});

# --- writes without end ------------------------------------------------------------------------------------
my $ids = "\\set id random(500, 3000)\n\\set p random(0, 9999)\n\\set copy random(0, 3)\n";
my %scripts = (
	insert => [ 4, 'INSERT INTO base SELECT :id, v FROM pool WHERE id = :p ON CONFLICT DO NOTHING;' ],
	insert_copy => [ 2, 'INSERT INTO base SELECT :id, v FROM pool WHERE id = :copy ON CONFLICT DO NOTHING;' ],
	update => [ 2, 'UPDATE base SET v = (SELECT v FROM pool WHERE id = :p) WHERE id = :id;' ],
	delete => [ 5, 'DELETE FROM base WHERE id = :id;' ],
);
my @files;
for my $name (sort keys %scripts)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/backup_$name.sql";
	append_to_file($file, "$ids$scripts{$name}[1]\n");
	push @files, '-f', $file . '@' . $scripts{$name}[0];
}
my $vacuum = "$PostgreSQL::Test::Utils::tmp_check/backup_vacuum.sql";
append_to_file($vacuum, "VACUUM (INDEX_CLEANUP ON) base;\n");

my ($out, $err) = ('', '');
my @load = map { IPC::Run::start([ 'pgbench', '-n', '-T', 36000, @$_, '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$out, '2>', \$err) }
  ([ '-c', 3, @files ], [ '-c', 1, '-f', $vacuum ]);

# Passes when a thousand more rows have been written since it was called, and vacuums ended.
my $activity = q{SELECT n_tup_ins + n_tup_upd + n_tup_del, vacuum_count FROM pg_stat_user_tables WHERE relname = 'base'};
sub go_on
{
	my ($name) = @_;
	my ($rows, $vacuums) = split /\|/, sql($activity);
	return ok($node->poll_query_until('postgres', "SELECT n_tup_ins + n_tup_upd + n_tup_del > $rows + 1000 AND vacuum_count > $vacuums + 2
		FROM pg_stat_user_tables WHERE relname = 'base'"), "$name: writes and vacuums go on");
}

go_on('before the backup');
$node->backup('hot');
go_on('after the backup');
sql(q{INSERT INTO mark VALUES ('point')});
sql(q{SELECT pg_create_restore_point('point')});
go_on('after the restore point');
my $xid = sql(q{INSERT INTO mark VALUES ('xid') RETURNING pg_current_xact_id()});
go_on('after the transaction');
sql(q{INSERT INTO mark VALUES ('time')});
my $time = sql('SELECT clock_timestamp()');
go_on('after the time');
sql(q{INSERT INTO mark VALUES ('end')});
$_->signal('INT') for @load;
$_->finish for @load;
unlike($err, qr/aborted|ERROR/, 'no client met an error') or diag($err);
my $walfile = sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
sql('SELECT pg_switch_wal()');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$walfile' FROM pg_stat_archiver") or die 'WAL was not archived';

# --- what was restored ---------------------------------------------------------------------------------------
sub is_sound
{
	my ($server, $name, $db) = @_;
	for my $index ('base_cosine', 'base_l2', 'base_evens')
	{
		my ($rc, $stdout, $stderr) = $server->psql($db // 'postgres', "SELECT ann_index_check('$index')");
		is("$rc $stderr", '0 ', "$name: $index intact");
	}
	for my $search ([ 'base', '<=>' ], [ 'base', '<->' ], [ 'evens', '<#>' ])
	{
		my ($table, $op) = @$search;
		is($server->safe_psql($db // 'postgres', "SELECT lacking, again FROM lost('$table', '$op', (SELECT v FROM query WHERE id = 5))"), '0|0',
			"$name: every row of $table is found once by $op");
	}
	is($server->safe_psql($db // 'postgres', "SELECT unordered('base', '<=>', 20)"), 0, "$name: rows in order");
	my $recall = $server->safe_psql($db // 'postgres', "SELECT recall('base', '<=>', 10)");
	cmp_ok($recall, '>=', 0.95, "$name: recall\@10 $recall");
	return;
}

sub restored
{
	my ($name, $marks, $target) = @_;
	my $server = PostgreSQL::Test::Cluster->new($name);
	if (defined $target)
	{
		$server->init_from_backup($node, 'hot', has_restoring => 1, standby => 0);
		$server->append_conf('postgresql.conf', "$target\nrecovery_target_action = 'promote'\n");
	}
	else
	{
		$server->init_from_backup($node, 'hot');
	}
	$server->append_conf('postgresql.conf', "archive_mode = off\n");
	$server->start;
	$server->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$name does not end its recovery";
	is($server->safe_psql('postgres', q{SELECT string_agg(name, ' ') FROM mark}), $marks, "$name: recovered so far and no further");
	is_sound($server, $name);
	# and goes on
	$server->safe_psql('postgres', q{
DELETE FROM base WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP ON) base;
INSERT INTO base SELECT id + 10000, v FROM pool WHERE id % 10 = 0});
	is_sound($server, "$name, written to");
	no_crash($server, "$name: no backend died");
	$server->stop;
	return;
}
restored('base_backup', '');
restored('restore_point', 'point', "recovery_target_name = 'point'");
restored('transaction', 'point xid', "recovery_target_xid = '$xid'");
restored('moment', 'point xid time', "recovery_target_time = '$time'");
is_sound($node, 'origin');

# --- dumps -----------------------------------------------------------------------------------------------------
# Rows in the same places give the same index.
sql('VACUUM FULL base');
my $before = answers($node, 'base', '<=>', 10) . answers($node, 'base', '<->', 10);
my $definitions = q{SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'base'::regclass ORDER BY 1};
for my $format ('custom', 'plain')
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/dump.$format";
	my $db = "restored_$format";
	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, '-d', $node->connstr('postgres') ], "$format: dumped");
	sql("CREATE DATABASE $db TEMPLATE template0");
	$node->command_ok(
		$format eq 'custom'
		? [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), $file ]
		: [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', "$file.out", '-d', $node->connstr($db), '-f', $file ],
		"$format: restored");
	is($node->safe_psql($db, $definitions), sql($definitions), "$format: the same indexes");
	is_sound($node, $format, $db);
	is(answers($node, 'base', '<=>', 10, $db) . answers($node, 'base', '<->', 10, $db), $before, "$format: the same answers");
}
no_crash($node, 'no backend died');
$node->stop;
done_testing();
