//! What launchers say, and what they forget.

use aurola_train::collective::{CollectiveError, Launch};

fn read(variables: &[(&str, &str)]) -> Result<Option<Launch>, CollectiveError> {
    Launch::from_variables(|name| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

/// Of two ranks, the second, with one variable changed; empty is as good as not set.
fn with(name: &str, value: &str) -> Result<Option<Launch>, CollectiveError> {
    let mut variables = vec![(name, value)];
    variables.extend([
        ("WORLD_SIZE", "2"),
        ("RANK", "1"),
        ("LOCAL_RANK", "1"),
        ("MASTER_ADDR", "node-7"),
        ("MASTER_PORT", "29500"),
    ]);
    read(&variables)
}

#[test]
fn a_process_nobody_launched_is_alone() {
    assert_eq!(read(&[]).unwrap(), None);
    assert_eq!(read(&[("WORLD_SIZE", "1")]).unwrap(), None);
    assert_eq!(read(&[("WORLD_SIZE", "1"), ("RANK", "0")]).unwrap(), None);
    assert_eq!(read(&[("WORLD_SIZE", " "), ("RANK", "0")]).unwrap(), None);
}

#[test]
fn the_usual_variables_are_read() {
    let launch = Launch {
        rank: 1,
        local_rank: Some(1),
        world: 2,
        address: "node-7".to_owned(),
        port: 29500,
    };
    assert_eq!(with("", "").unwrap(), Some(launch.clone()));
    let on_a_node_of_its_own = Launch {
        local_rank: None,
        ..launch.clone()
    };
    assert_eq!(with("LOCAL_RANK", "").unwrap(), Some(on_a_node_of_its_own));
    let beside_the_store_of_torchrun = Launch {
        port: 29501,
        ..launch.clone()
    };
    let with_store = with("TORCHELASTIC_USE_AGENT_STORE", "True").unwrap();
    assert_eq!(with_store, Some(beside_the_store_of_torchrun));
    let without = with("TORCHELASTIC_USE_AGENT_STORE", "False").unwrap();
    assert_eq!(without, Some(launch));
}

#[test]
fn what_is_wrong_is_named_with_its_value() {
    let cases = [
        (
            with("RANK", ""),
            "RANK is not set, though WORLD_SIZE is 2; a launcher such as torchrun sets both",
        ),
        (
            with("MASTER_ADDR", ""),
            "MASTER_ADDR is not set, though WORLD_SIZE is 2; a launcher such as torchrun sets both",
        ),
        (
            with("MASTER_PORT", ""),
            "MASTER_PORT is not set, though WORLD_SIZE is 2; a launcher such as torchrun sets both",
        ),
        (
            with("WORLD_SIZE", ""),
            "WORLD_SIZE is not set, though RANK is 1; a launcher such as torchrun sets both",
        ),
        (
            with("WORLD_SIZE", "two"),
            "WORLD_SIZE is `two`; expected a whole number from 1 to 65536",
        ),
        (
            with("WORLD_SIZE", "0"),
            "WORLD_SIZE is `0`; expected a whole number from 1 to 65536",
        ),
        (with("WORLD_SIZE", "1"), "RANK is `1`; expected 0"),
        (
            with("RANK", "2"),
            "RANK is `2`; expected a whole number from 0 to 1",
        ),
        (
            with("LOCAL_RANK", "-1"),
            "LOCAL_RANK is `-1`; expected a whole number from 0 to 1",
        ),
        (
            with("MASTER_PORT", "65536"),
            "MASTER_PORT is `65536`; expected a whole number from 1 to 65535",
        ),
    ];
    for (read, expected) in cases {
        assert_eq!(read.unwrap_err().to_string(), expected);
    }
}
