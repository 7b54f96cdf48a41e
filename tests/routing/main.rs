//! Keys, retries and aliases: a table of scenarios. Each row says what its providers do, what the client gets
//! to the byte, who was asked in which order, and the trail; what no row can say is a test of its own.
//! `ROWS=words` runs only the rows with these words in their names.

mod aliases;
mod bare;
mod budget;
mod check;
mod classes;
mod delays;
mod ends;
mod expect;
mod keys;
mod place;
mod quota;
mod reload;
mod row;
mod script;
mod secrets;
mod sticky;
mod stored;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod trail;
mod uploads;
mod waits;
mod world;
