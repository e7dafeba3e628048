//! What tests that need namespaces share.

use crate::caps;
use crate::netns;

/// What became of a test that needs a network namespace of its own.
pub(crate) enum NewNet<T> {
    Here(T),
    Skipped,
}

/// Runs `test` in a network namespace that lives as long as it does. Without the privilege to make one the
/// test is skipped, and says so; as root with full capabilities a skip is a failure.
pub(crate) fn new_netns<T: Send>(test: impl FnOnce() -> T + Send) -> NewNet<T> {
    match netns::in_new_netns(test) {
        Ok(value) => NewNet::Here(value),
        Err(error) => {
            let able = caps::effective().is_ok_and(|held| held.has(caps::Capability::SysAdmin));
            assert!(!able, "could not make a network namespace: {error}");
            println!("skipped: needs CAP_SYS_ADMIN to make a network namespace ({error})");
            NewNet::Skipped
        }
    }
}
