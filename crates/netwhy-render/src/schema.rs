//! The output contract as JSON Schema (draft 2020-12), and a validator for the part of it that is used here.
//!
//! Fields are only ever added. The published schema therefore allows unknown fields; [`validate`] does not, so that
//! a field without a description cannot be shipped.

mod build;
mod check;
mod loci;

use serde_json::{Value, json};

use build::{array, enumeration, integer, object, optional, reference, required, string};

pub use check::Problem;

/// The schema of a report, as `netwhy schema` prints it.
pub fn report_schema() -> Value {
    let mut schema = object(
        "One answer of netwhy: what is wrong, where, the proof, what was excluded, what to do.",
        &[
            required(
                "schema",
                json!({"const": netwhy_causes::report::SCHEMA, "type": "integer", "description": "Version of this contract. Fields are only added within a version."}),
            ),
            required("question", reference("question", "What was asked, as it was understood.")),
            required(
                "verdict",
                enumeration(
                    "The whole answer in a word.",
                    &[
                        ("problem", "a cause on this host was found"),
                        ("healthy", "the target answers"),
                        (
                            "undetermined",
                            "it fails and no cause could be named; not_checkable says what is missing",
                        ),
                        (
                            "outside",
                            "it fails for a reason that is not on this host; hand_off says whom to tell what",
                        ),
                    ],
                ),
            ),
            required("headline", string("One sentence: what is wrong, or that nothing is.")),
            required("causes", array("Causes found, the root first.", reference("cause", "One cause."))),
            required(
                "ruled_out",
                array(
                    "Conditions that look alike and that a fact excludes.",
                    reference("ruled_out", "One excluded condition."),
                ),
            ),
            required(
                "not_checkable",
                array("What could not be looked at.", reference("not_checkable", "One missing fact.")),
            ),
            required(
                "stages",
                array(
                    "The path of each flow: what was predicted and what was seen.",
                    reference("stage", "One stage."),
                ),
            ),
            required(
                "disagreements",
                array(
                    "Where prediction and observation contradict each other, explained by a cause or not.",
                    reference("disagreement", "One contradiction."),
                ),
            ),
            optional("hand_off", reference("hand_off", "For outside: what to tell whoever is responsible.")),
            required("cost", reference("cost", "What the answer cost.")),
        ],
    );
    if let Some(map) = schema.as_object_mut() {
        map.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".into(), json!("netwhy report, schema 1"));
        map.insert("$defs".into(), definitions());
    }
    schema
}

fn definitions() -> Value {
    json!({
        "question": object("The question as it was framed.", &[
            required("scenario", enumeration("What was asked about.", &[
                ("connect", "why can it not be reached?"),
                ("slow", "why is it slow?"),
                ("loss", "where do packets disappear?"),
                ("load", "too many connections, degraded service"),
                ("flap", "it works only sometimes"),
                ("check", "the whole host, bottom up"),
            ])),
            required("target", string("The target as it was typed.")),
            required("addresses", array("Addresses that were judged, in the order an application would try them.",
                string("ADDR:PORT, with brackets around IPv6; only the address for an echo."))),
            required("netns", string("The network namespace the question was asked in.")),
            required("role", enumeration("Where this host stands.", &[
                ("client", "it connects to the target"),
                ("inbound", "the target is a service of this host"),
                ("transit", "it routes or switches between the two"),
            ])),
            optional("from", string("The other end, for inbound and transit.")),
            optional("command", string("The command that asks the same again, inside the namespace it was asked in.")),
            required("started", string("When it was asked: RFC 3339, UTC.")),
            required("duration_us", integer("Time from the question to the answer, in microseconds.")),
        ]),
        "cause": object("One condition that brings the failure about.", &[
            required("id", string("The condition in kebab case: netwhy explain ID tells what it means.")),
            required("title", string("The condition in one line, without this host's particulars.")),
            required("confidence", enumeration("How sure this is.", &[
                ("proven", "seen on this flow or object within this run"),
                ("consistent", "fits the facts, without excluding every other explanation"),
            ])),
            required("locus", reference("locus", "The object a person can change.")),
            required("summary", string("What is the matter, with this host's particulars.")),
            required("explains", array("Conditions that were found too and that this one brings about.", string("The id of a cause."))),
            required("flows", array("Addresses it concerns; empty when it concerns the whole question.", string("ADDR:PORT as in question.addresses."))),
            required("outside", json!({"type": "boolean", "description": "True when the object is not on this host."})),
            required("evidence", array("Facts that speak for it, the strongest first.", reference("evidence", "One fact."))),
            required("fix", array("What to do, the safest first.", reference("fix", "One thing to do."))),
            required("verify", string("A command that fails now and succeeds after the repair.")),
        ]),
        "evidence": object("One fact and where a reader can see it.", &[
            required("id", string("Name of the fact, stable within the report.")),
            required("statement", string("The fact as a sentence.")),
            required("source", string("The door it came through: a file of /proc, a netlink message, a capture.")),
            required("value", json!({"description": "The value itself; null when the statement says it all. Differences of counters are numbers."})),
            optional("window_us", integer("Length of the window a difference was taken over, in microseconds; absent for a state read once.")),
            required("command", string("The classical command that shows the same; empty when there is none.")),
        ]),
        "fix": object("One thing to do.", &[
            required("text", string("What it does, in a line.")),
            required("command", string("The command; empty when a person has to decide or to act.")),
            required("undo", string("The command that takes it back; empty when there is none.")),
            required("risk", string("What it may break; empty when nothing beyond its purpose.")),
        ]),
        "ruled_out": object("A condition that looks alike and is excluded.", &[
            required("id", string("The id of the excluded cause.")),
            required("because", string("The excluding fact as a sentence.")),
            required("evidence", array("The facts.", reference("evidence", "One fact."))),
        ]),
        "not_checkable": object("A fact that could not be read.", &[
            required("what", string("What could not be looked at.")),
            required("needs", string("What it needs: a privilege, a kernel feature, another try.")),
            required("privilege", json!({"type": "boolean", "description": "True when one more privilege would add it."})),
        ]),
        "stage": object("One stage of the path of one flow.", &[
            required("flow", string("The flow, ADDR:PORT of its destination.")),
            required("direction", enumeration("Which packets.", &[
                ("forward", "from the client to the target"),
                ("reply", "the answer"),
            ])),
            required("stage", string("Where in the stack: routing, output, conntrack and so on, in kebab case.")),
            required("predicted", string("What the facts say must happen here.")),
            required("observed", string("What was seen here; empty when nothing could be seen.")),
            required("disagrees", json!({"type": "boolean", "description": "True when prediction and observation contradict each other."})),
        ]),
        "disagreement": object("A contradiction between what was predicted and what was seen.", &[
            required("flow", string("The flow, ADDR:PORT of its destination.")),
            required("direction", enumeration("Which packets.", &[
                ("forward", "from the client to the target"),
                ("reply", "the answer"),
            ])),
            required("predicted", string("What the facts say must happen.")),
            required("observed", string("What was seen.")),
            required("source", string("The door the observation came through: skb:kfree_skb, AF_PACKET.")),
            required("explained_by", string("The id of the cause that rests on the same observation; empty when none does.")),
        ]),
        "hand_off": object("What to tell whoever is responsible beyond this host.", &[
            required("last_good", string("The last point that is known to work.")),
            required("text", string("Text to pass on: who, when, what was sent, what came back. May have several lines.")),
        ]),
        "cost": object("What the answer cost this host and the network.", &[
            required("wall_us", integer("Wall-clock time, in microseconds.")),
            required("cpu_us", integer("Processor time of netwhy, user and system, in microseconds.")),
            required("rss_bytes", integer("Largest resident memory of netwhy, in bytes.")),
            required("packets_sent", integer("Packets netwhy sent, in packets.")),
            required("events", integer("Kernel events and packet headers netwhy received, in events.")),
            required("lost", integer("Kernel events and captured packets that were lost, in events; when not 0 the answer may miss something.")),
        ]),
        "locus": loci::schema(),
    })
}

/// Checks a report against the schema. Unknown fields are problems too.
pub fn validate(report: &Value) -> Result<(), Vec<String>> {
    let problems = check::check(&report_schema(), report);
    if problems.is_empty() { Ok(()) } else { Err(problems.iter().map(Problem::to_string).collect()) }
}
