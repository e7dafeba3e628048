//! Prints the program spec of a script as text or, with `--json` first, as JSON; knows no kernel types.

use netwhy_lang::features::Features;
use netwhy_lang::types::NoTypes;
use netwhy_lang::{Options, compile};

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let json = args.first().is_some_and(|a| a == "--json");
    if json {
        args.remove(0);
    }
    let script = args.join(" ");
    match compile(&script, &Options::default(), &NoTypes, &NoTypes, &Features::modern()) {
        Ok(made) if json => match serde_json::to_string(&made.spec) {
            Ok(text) => println!("{text}"),
            Err(e) => eprintln!("{e}"),
        },
        Ok(made) => print!("{}", made.spec),
        Err(e) => {
            eprint!("{}", e.render("script", &script));
            std::process::exit(1);
        }
    }
}
