//! Netfilter and socket facts against the kernel, in namespaces of the tests' own. The tools that set things
//! up and answer as oracles are run by the tests only; a test whose tool is missing says so and is skipped.

mod conntrack;
mod ipset;
mod nft;
mod reach;
mod record;
mod socket;
mod space;
mod xtables;
