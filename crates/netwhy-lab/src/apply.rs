//! Carries out the commands netwhy prints as a fix, with the lab's own netlink code, inside the node.
//!
//! Only the forms that are printed are understood; anything else is refused by name, so that a fix nobody
//! can interpret shows in the score.

mod nft;

use netwhy_causes::report::CauseOut;

use crate::error::{LabError, Result};
use crate::node::Node;

/// Applies the first fix of a cause that is a command, and returns it. `None`: there is none.
pub fn fix(cause: &CauseOut, node: &mut Node) -> Result<Option<String>> {
    let Some(fix) = cause.fix.iter().find(|fix| !fix.command.is_empty()) else { return Ok(None) };
    for command in fix.command.split(" && ") {
        run(command, node)?;
    }
    Ok(Some(fix.command.clone()))
}

/// Carries out one command line.
pub fn run(command: &str, node: &mut Node) -> Result<()> {
    let words = split(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = words.strip_prefix(&["sudo"]).unwrap_or(&words);
    match words {
        ["nft", rest @ ..] => nft::run(rest, node),
        _ => Err(not_understood(command)),
    }
}

fn not_understood(command: &str) -> LabError {
    LabError::Usage(format!("the lab does not understand: {command}"))
}

/// Splits a line at blanks; quotes group and vanish.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (None, '\'' | '"') => (quote, open) = (Some(letter), true),
            (Some(mark), _) if mark == letter => quote = None,
            (None, ' ') => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            _ => word.push(letter),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_group_and_vanish() {
        assert_eq!(split("nft add rule  'a b' \"\" c"), ["nft", "add", "rule", "a b", "", "c"]);
    }
}
