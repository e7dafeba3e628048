//! In which order chains of one hook run.
//!
//! Of hooks with one priority the kernel runs the newest first. Handles tell which chain of a table is newer, and tables
//! are listed in the order they were made, but nothing tells when a chain of one table was made beside those of another.

use netwhy_facts::nft::{Expr, NftChain};

use crate::path::Stage;
use crate::walk::Walk;

/// Orders that are tried; with more than these only whole tables change places.
const MOST_ORDERS: usize = 6;

impl<'a> Walk<'a, '_> {
    /// Chains of one hook, given in the order of the listing, as the kernel runs them. Where chains of several tables
    /// share a priority and one of them changes what another may look at, every order they can have is open.
    pub(crate) fn chains_in_order(&mut self, listed: Vec<&'a NftChain>, stage: Stage) -> Vec<&'a NftChain> {
        let priority = |chain: &NftChain| chain.hook.as_ref().map_or(0, |h| h.priority);
        let mut chains: Vec<&'a NftChain> = listed.into_iter().rev().collect();
        chains.sort_by_key(|chain| priority(chain));
        let mut out = Vec::with_capacity(chains.len());
        while let Some(first) = chains.first() {
            let here = priority(first);
            let rest = chains.split_off(chains.iter().take_while(|c| priority(c) == here).count());
            out.extend(self.one_priority(chains, here, stage));
            chains = rest;
        }
        out
    }

    fn one_priority(&mut self, chains: Vec<&'a NftChain>, priority: i32, stage: Stage) -> Vec<&'a NftChain> {
        let mut tables: Vec<Vec<&'a NftChain>> = Vec::new();
        for chain in &chains {
            let same = |t: &&mut Vec<&NftChain>| {
                t.first().is_some_and(|c| c.family == chain.family && c.table == chain.table)
            };
            match tables.iter_mut().find(same) {
                Some(table) => table.push(chain),
                None => tables.push(vec![chain]),
            }
        }
        if tables.len() < 2 || !tables.iter().any(|table| self.changes_packets(table)) {
            return chains;
        }
        let mut orders = merges(&tables, MOST_ORDERS + 1);
        if orders.len() > MOST_ORDERS {
            let whole: Vec<Vec<Vec<&'a NftChain>>> = tables.iter().map(|table| vec![table.clone()]).collect();
            orders = merges(&whole, MOST_ORDERS).into_iter().map(|order| order.concat()).collect();
        }
        let names: Vec<String> = tables
            .iter()
            .filter_map(|t| t.first())
            .map(|c| format!("{} {}", c.family.name(), c.table))
            .collect();
        let why = format!(
            "which chains of priority {priority} run first at this hook, those of table {}",
            names.join(" or those of table ")
        );
        let picked = self.choose(orders.len(), why, None, stage);
        orders.into_iter().nth(picked).unwrap_or(chains)
    }

    /// Whether a rule of these chains' table leaves something behind that another table's rule can see.
    fn changes_packets(&self, chains: &[&NftChain]) -> bool {
        let Some(nft) = self.w.nft else { return false };
        let writes = |expr: &Expr| {
            matches!(
                expr,
                Expr::MetaSet { .. }
                    | Expr::CtSet { .. }
                    | Expr::PayloadSet { .. }
                    | Expr::ExthdrSet { .. }
                    | Expr::ExthdrReset { .. }
                    | Expr::Notrack
                    | Expr::Target { .. }
            )
        };
        chains.iter().any(|chain| {
            let of =
                |rule: &&netwhy_facts::nft::NftRule| rule.family == chain.family && rule.table == chain.table;
            nft.rules.iter().filter(of).any(|rule| rule.exprs.iter().any(writes))
        })
    }
}

/// Ways to merge several sequences into one, each kept in its order, at most `most`; the first has them one after the
/// other as given.
fn merges<T: Clone>(sequences: &[Vec<T>], most: usize) -> Vec<Vec<T>> {
    let mut out = Vec::new();
    let mut at = vec![0; sequences.len()];
    merge(sequences, &mut at, &mut Vec::new(), most, &mut out);
    out
}

fn merge<T: Clone>(from: &[Vec<T>], at: &mut [usize], now: &mut Vec<T>, most: usize, out: &mut Vec<Vec<T>>) {
    if out.len() >= most {
        return;
    }
    let mut done = true;
    for (n, sequence) in from.iter().enumerate() {
        let next = at.get(n).copied().unwrap_or(0);
        let Some(item) = sequence.get(next) else { continue };
        done = false;
        now.push(item.clone());
        if let Some(slot) = at.get_mut(n) {
            *slot += 1;
        }
        merge(from, at, now, most, out);
        now.pop();
        if let Some(slot) = at.get_mut(n) {
            *slot -= 1;
        }
    }
    if done {
        out.push(now.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_keep_the_order_of_each_and_stop_at_the_most() {
        let all = merges(&[vec![1, 2], vec![3]], 10);
        assert_eq!(all, [vec![1, 2, 3], vec![1, 3, 2], vec![3, 1, 2]]);
        assert_eq!(merges(&[vec![1, 2], vec![3]], 2).len(), 2);
        assert_eq!(merges::<u8>(&[], 2), [Vec::<u8>::new()]);
    }
}
