//! `wink`: evaluate, record and inspect robot-arm policies.

mod cards;
mod inspect;

fn main() {}
