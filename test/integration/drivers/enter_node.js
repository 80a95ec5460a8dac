// Logs in with node's pg. Arguments: host, port, database, user, file of the authority ('' for no
// TLS). The password is in PGPASSWORD. Prints who it is, or the SQLSTATE of the refusal.
'use strict';
const fs = require('fs');
const { Client } = require('pg');

const [host, port, database, user, ca] = process.argv.slice(2);
const ssl = ca ? { ca: fs.readFileSync(ca), servername: 'localhost' } : false;
const client = new Client({
  host, port: Number(port), database, user, password: process.env.PGPASSWORD, ssl,
  enableChannelBinding: true });

client.connect()
  .then(() => client.query('SELECT session_user AS who'))
  .then((result) => console.log(result.rows[0].who), (error) => console.log(error.code))
  .finally(() => client.end());
