//! The walker's words for a rule against those of nft(8), over a corpus loaded into a private namespace.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use netwhy_collect::Collector;
use netwhy_facts::Reading;
use netwhy_facts::nft::Nft;

const CORPUS: &str = include_str!("data/rules.nft");

/// Runs nft on a script; the error is its own first line.
fn nft(args: &[&str], script: Option<&str>) -> Result<String, String> {
    let mut command = Command::new("nft");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    if let Some(script) = script {
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    }
    let out = child.wait_with_output().unwrap();
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).lines().next().unwrap_or_default().to_owned())
    }
}

/// Where a line of a listing is: `family table`, chain.
#[derive(Default)]
struct Place {
    table: String,
    chain: String,
}

impl Place {
    /// Follows the braces of a listing; says whether the line is a rule of a chain.
    fn follow(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", family, name, "{", ..] => {
                self.table = format!("{family} {name}");
                false
            }
            ["chain", name, "{", ..] => {
                self.chain = (*name).to_owned();
                false
            }
            ["}"] => {
                self.chain.clear();
                false
            }
            ["type", ..] | [] => false,
            _ => !self.chain.is_empty(),
        }
    }
}

fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Rules the tool or the kernel refuses are printed and left out: they say nothing about our words.
fn load() -> usize {
    let mut place = Place::default();
    let (mut skeleton, mut rules) = (String::new(), Vec::new());
    for line in CORPUS.lines().filter(|l| !l.starts_with('#')) {
        if place.follow(line) {
            rules.push(format!("add rule {} {} {}\n", place.table, place.chain, line.trim()));
        } else {
            skeleton.push_str(line);
            skeleton.push('\n');
        }
    }
    nft(&["-f", "-"], Some(&skeleton)).expect("tables, chains and sets of the corpus");
    let mut loaded = 0;
    for rule in rules {
        match nft(&["-f", "-"], Some(&rule)) {
            Ok(_) => loaded += 1,
            Err(why) => println!("not loaded: {} ({why})", rule.trim()),
        }
    }
    loaded
}

#[test]
fn rules_read_as_nft_writes_them() {
    let work = || {
        let loaded = load();
        let listing = nft(&["-a", "list", "ruleset"], None).expect("nft list ruleset");
        let Reading::Known { value, .. } = Collector::here().unwrap().nft() else {
            panic!("the ruleset was not read");
        };
        (loaded, listing, value)
    };
    let (loaded, listing, ruleset): (usize, String, Nft) = match netwhy_sys::netns::in_new_netns(work) {
        Ok(got) => got,
        Err(error) => {
            println!("skipped: needs a network namespace of its own ({error})");
            return;
        }
    };
    let mut theirs = BTreeMap::new();
    let mut place = Place::default();
    for line in listing.lines() {
        if place.follow(line)
            && let Some((text, handle)) = line.rsplit_once(" # handle ")
        {
            let handle: u64 = handle.trim().parse().unwrap();
            theirs.insert((place.table.clone(), handle), normal(text));
        }
    }
    let (mut same, mut differ) = (0, Vec::new());
    for rule in &ruleset.rules {
        let key = (format!("{} {}", rule.family.name(), rule.table), rule.handle);
        let Some(want) = theirs.get(&key) else { panic!("nft does not list {key:?}") };
        let ours = normal(&netwhy_walk::rule_text(&ruleset, rule));
        if ours == *want {
            same += 1;
        } else {
            if std::env::var_os("RULE_TEXT_EXPRS").is_some() {
                println!("{want}: {:?}", rule.exprs);
            }
            differ.push((want.clone(), ours));
        }
    }
    println!("rules loaded {loaded}, the same words {same}, others {}", differ.len());
    for (want, ours) in &differ {
        println!("  nft:    {want}\n  netwhy: {ours}");
    }
    assert_eq!(ruleset.rules.len(), loaded);
    assert!(loaded >= 120, "only {loaded} rules of the corpus could be loaded");
    assert!(same * 10 >= loaded * 9, "{same} of {loaded} rules read as nft writes them");
}
