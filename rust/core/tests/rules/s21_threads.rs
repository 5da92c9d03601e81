//! S21: a run belongs to a thread, but others abort and feed it; the graph and the slots are everybody's.

use cnstra_core::{Activation, Graph, Run, Slots};

fn can_be_sent<T: Send>() {}
fn can_be_shared<T: Send + Sync>() {}

#[test]
fn what_is_made_of_what_can_be_sent_can_be_sent() {
    can_be_shared::<Graph>();
    can_be_sent::<Activation<Vec<u8>>>();
    can_be_sent::<Run<Vec<u8>, String>>();
    can_be_sent::<Slots<u64, String>>();
}
