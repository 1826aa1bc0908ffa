// pgvector's package for Node with node-postgres and Sequelize. CORPUS names the file of rows, searches and exact
// distances (../python/corpus.py); PGHOST, PGPORT and PGUSER name the server.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import pgvector from 'pgvector/pg';
import forSequelize, * as distances from 'pgvector/sequelize';
import { SparseVector } from 'pgvector';
import { DataTypes, Sequelize } from 'sequelize';

const corpus = JSON.parse(readFileSync(process.env.CORPUS, 'utf8'));
// 600 rows are sorted faster than searched: this is about the index.
const settings = ['enable_seqscan = off', 'enable_sort = off', 'hnsw.ef_search = 100', 'ivfflat.probes = 4'];

// k rows in order, at most one of them farther than the exact answer's last.
function check(ids, search, category = null) {
  assert.equal(ids.length, corpus.k);
  assert.equal(new Set(ids).size, corpus.k);
  const rows = corpus.rows.filter((row) => category === null || row.category === category);
  const allowed = new Set(rows.map((row) => row.id));
  const found = ids.map((id) => search.distances[id]);
  const last = rows.map((row) => search.distances[row.id]).sort((a, b) => a - b)[corpus.k - 1];
  for (const [i, id] of ids.entries()) {
    assert.ok(allowed.has(id), `row ${id} is of another category`);
    assert.ok(i === 0 || found[i] >= found[i - 1] - 1e-4, `out of order: ${found}`);
  }
  assert.ok(found.filter((d) => d <= last + 1e-4).length >= corpus.k - 1, `${found} beyond ${last}`);
}

async function makeDatabase(name) {
  const client = new pg.Client({ database: 'postgres' });
  await client.connect();
  await client.query(`DROP DATABASE IF EXISTS ${name} (FORCE)`);
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
}

const near = (a, b) => a.every((x, i) => Math.abs(x - b[i]) < 1e-6);

describe('node-postgres', () => {
  let client;
  const value = (column, x) => (column === 'b' ? x : column === 's' ? new SparseVector(x).toPostgres() : pgvector.toSql(x));
  before(async () => {
    await makeDatabase('client_node');
    client = new pg.Client({ database: 'client_node' });
    await client.connect();
    await client.query('CREATE EXTENSION IF NOT EXISTS vector');
    await pgvector.registerTypes(client);
    const d = corpus.dims;
    await client.query(
      `CREATE TABLE items (id int PRIMARY KEY, category int, v vector(${d}), h halfvec(${d}), s sparsevec(${d}), b bit(${d}))`,
    );
  });
  after(() => client.end());

  test('insert', async () => {
    for (const row of corpus.rows.slice(0, corpus.first)) {
      const values = [row.id, row.category, ...['v', 'h', 's', 'b'].map((column) => value(column, row[column]))];
      await client.query('INSERT INTO items VALUES ($1, $2, $3, $4, $5, $6)', values);
    }
  });
  test('bulk', async () => {
    const rows = corpus.rows.slice(corpus.first);
    const columns = ['v', 'h', 's', 'b'].map((column) => rows.map((row) => value(column, row[column])));
    const { rowCount } = await client.query(
      `INSERT INTO items SELECT * FROM unnest($1::int[], $2::int[], $3::vector[], $4::halfvec[], $5::sparsevec[], $6::bit(${corpus.dims})[])`,
      [rows.map((row) => row.id), rows.map((row) => row.category), ...columns],
    );
    assert.equal(rowCount, rows.length);
  });
  test('values', async () => {
    const { rows } = await client.query('SELECT * FROM items WHERE id = 3');
    const stored = corpus.rows[3];
    assert.ok(near(rows[0].v, stored.v));
    assert.ok(near(rows[0].h, stored.h));
    assert.ok(near(rows[0].s.toArray(), stored.s));
    assert.equal(rows[0].b, stored.b);
  });
  for (const search of corpus.searches) {
    test(`index and search: ${search.operator_class}`, async () => {
      await client.query(`CREATE INDEX ON items USING hnsw (${search.column} ${search.operator_class})`);
      for (const setting of settings) await client.query(`SET ${setting}`);
      const { rows } = await client.query(
        `SELECT id FROM items ORDER BY ${search.column} ${search.operator} $1 LIMIT ${corpus.k}`,
        [value(search.column, search.query)],
      );
      check(rows.map((row) => row.id), search);
    });
  }
  test('filter', async () => {
    const [search] = corpus.searches;
    await client.query("SET hnsw.iterative_scan = 'relaxed_order'");
    const { rows } = await client.query(
      `SELECT id FROM items WHERE category = $2 ORDER BY v <-> $1 LIMIT ${corpus.k}`,
      [pgvector.toSql(search.query), 4],
    );
    check(rows.map((row) => row.id), search, 4);
  });
});

describe('sequelize', () => {
  let sequelize, Item;
  const operators = { l2: 'l2Distance', ip: 'maxInnerProduct', cosine: 'cosineDistance', l1: 'l1Distance' };
  const searches = corpus.searches.filter((search) => search.column === 'v' || search.column === 'h');
  before(async () => {
    await makeDatabase('client_sequelize');
    // It learns the types when it connects, so they must be there.
    const client = new pg.Client({ database: 'client_sequelize' });
    await client.connect();
    await client.query('CREATE EXTENSION IF NOT EXISTS vector');
    await client.end();
    forSequelize.registerTypes(Sequelize);
    sequelize = new Sequelize('client_sequelize', process.env.PGUSER, '', {
      host: process.env.PGHOST,
      port: process.env.PGPORT,
      dialect: 'postgres',
      logging: false,
      pool: { max: 1 },
    });
    Item = sequelize.define(
      'Item',
      {
        id: { type: DataTypes.INTEGER, primaryKey: true },
        category: DataTypes.INTEGER,
        v: DataTypes.VECTOR(corpus.dims),
        h: DataTypes.HALFVEC(corpus.dims),
      },
      {
        tableName: 'items',
        timestamps: false,
        indexes: searches.map((search) => ({
          name: `sequelize_${search.column}_${search.distance}`,
          fields: [search.column],
          using: 'hnsw',
          operator: search.operator_class,
        })),
      },
    );
  });
  after(() => sequelize.close());

  test('table and indexes', async () => {
    await Item.sync();
  });
  test('insert', async () => {
    for (const { id, category, v, h } of corpus.rows.slice(0, corpus.first)) await Item.create({ id, category, v, h });
  });
  test('bulk', async () => {
    await Item.bulkCreate(corpus.rows.slice(corpus.first).map(({ id, category, v, h }) => ({ id, category, v, h })));
    assert.equal(await Item.count(), corpus.rows.length);
  });
  for (const search of searches) {
    test(`search: ${search.operator_class}`, async () => {
      for (const setting of settings) await sequelize.query(`SET ${setting}`);
      const order = distances[operators[search.distance]](search.column, search.query, sequelize);
      const items = await Item.findAll({ order, limit: corpus.k });
      check(items.map((item) => item.id), search);
      assert.ok(near(items[0].v, corpus.rows[items[0].id].v));
    });
  }
  test('filter', async () => {
    const [search] = searches;
    const order = distances.l2Distance('v', search.query, sequelize);
    const items = await Item.findAll({ where: { category: 5 }, order, limit: corpus.k });
    check(items.map((item) => item.id), search, 5);
  });
});
