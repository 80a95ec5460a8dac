// What a program does with node's pg. Arguments: host, port, database, user. Prints its results.
'use strict';
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');

const [host, port, database, user] = process.argv.slice(2);
const options = { host, port: Number(port), database, user };
const show = (name, value) => console.log(name, JSON.stringify(value));

async function queries() {
  const client = new Client({ ...options, application_name: 'node' });
  const notices = [];
  client.on('notice', (notice) => notices.push([notice.severity, notice.message]));
  await client.connect();
  show('types', (await client.query(
    "SELECT 1 AS i, 'x' AS t, 1.5::numeric AS n, true AS b, NULL AS z, '{1,2}'::int[] AS a, " +
    "'{\"k\": 1}'::jsonb AS j, '\\xff00'::bytea AS y, " +
    "'2020-01-01T00:00Z'::timestamptz AS d")).rows);
  show('parameters', (await client.query('SELECT $1::int + $2::int AS s', [1, 2])).rows);
  for (let n = 0; n < 5; n++) {
    show('named', (await client.query({
      name: 'by id', text: 'SELECT name FROM drv_t WHERE id = $1', values: [n] })).rows);
  }
  show('array', (await client.query({ text: 'SELECT 1, 2', rowMode: 'array' })).rows);
  show('several', (await client.query('SELECT 1 AS a; SELECT 2 AS b')).map((r) => r.rows));
  show('limited', (await client.query(
    { text: 'SELECT generate_series(1, 10) AS g', rows: 3 })).rows);
  await client.query("DO $$ BEGIN RAISE NOTICE 'hello'; END $$");
  show('notices', notices);
  await client.query('CREATE TEMP TABLE t (a int PRIMARY KEY)');
  await client.query('BEGIN');
  await client.query('INSERT INTO t VALUES (1)');
  await client.query('INSERT INTO t VALUES (1)').catch(
    (error) => show('error', [error.code, error.severity, error.constraint, error.detail]));
  await client.query('SELECT 1').catch((error) => show('error', [error.code, error.message]));
  await client.query('ROLLBACK');
  show('count', (await client.query('SELECT count(*) FROM t')).rows);
  show('queued', (await Promise.all([...Array(20).keys()].map(
    (n) => client.query('SELECT $1::int AS n', [n])))).map((r) => r.rows[0].n));
  await client.end();
}

async function cursors() {
  const client = new Client(options);
  await client.connect();
  const cursor = client.query(new Cursor('SELECT generate_series(1, $1::int) AS g', [100]));
  show('cursor', (await cursor.read(3)).length);
  show('cursor', (await cursor.read(50)).at(-1));
  await cursor.close();
  const failing = client.query(new Cursor('SELECT 1/(3 - g) AS g FROM generate_series(1, 5) g'));
  await failing.read(10).catch((error) => show('cursor error', error.code));
  show('after', (await client.query('SELECT 1 AS one')).rows);
  await client.end();
}

async function notifications() {
  const one = new Client(options);
  const two = new Client(options);
  await Promise.all([one.connect(), two.connect()]);
  const heard = new Promise((resolve) => one.on('notification', (n) => resolve(n.payload)));
  await one.query('LISTEN drv_node');
  await two.query("NOTIFY drv_node, 'payload'");
  show('heard', await heard);
  await Promise.all([one.end(), two.end()]);
}

async function pools() {
  const pool = new Pool({ ...options, max: 5 });
  const rows = await Promise.all([...Array(50).keys()].map(
    (n) => pool.query('SELECT $1::int * 2 AS n', [n])));
  show('pool', rows.map((r) => r.rows[0].n));
  await pool.end();
}

async function refused() {
  const client = new Client({ ...options, database: 'no_such_database' });
  await client.connect().catch((error) => show('refused', [error.code, error.message]));
}

queries().then(cursors).then(notifications).then(pools).then(refused).catch((error) => {
  console.log(error);
  process.exit(1);
});
