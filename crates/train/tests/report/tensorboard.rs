//! Event files, read back byte by byte by a reader that shares no code with the writer.

use std::fs;
use std::path::Path;

use aurola_train::report::{EventFile, Record, RunEvent, StepRecord};

use crate::{event, step, validation};

/// An event, as far as we write one.
#[derive(Debug, Default, PartialEq)]
struct Event {
    wall_time: f64,
    step: u64,
    file_version: Option<String>,
    started: bool,
    scalars: Vec<(String, f32)>,
}

/// CRC-32C bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        for bit in 0..8 {
            let odd = (crc ^ u32::from(byte >> bit)) & 1 == 1;
            crc >>= 1;
            if odd {
                crc ^= 0x82f6_3b78;
            }
        }
    }
    !crc
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = from.split_at(count);
    *from = rest;
    taken
}

fn u32_of(from: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(from, 4).try_into().unwrap())
}

fn varint(from: &mut &[u8]) -> u64 {
    let mut number = 0;
    for at in 0.. {
        let byte = take(from, 1)[0];
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            break;
        }
    }
    number
}

/// A field's number and content; a varint's content is its eight bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let content = match key & 7 {
            0 => varint(&mut message).to_le_bytes().to_vec(),
            1 => take(&mut message, 8).to_vec(),
            2 => {
                let length = varint(&mut message) as usize;
                take(&mut message, length).to_vec()
            }
            5 => take(&mut message, 4).to_vec(),
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, content));
    }
    fields
}

fn value(message: &[u8]) -> (String, f32) {
    let mut value = (String::new(), f32::NAN);
    for (field, content) in fields(message) {
        match field {
            1 => value.0 = String::from_utf8(content).unwrap(),
            2 => value.1 = f32::from_le_bytes(content.try_into().unwrap()),
            other => panic!("field {other} of a value"),
        }
    }
    value
}

fn read(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = take(&mut rest, 8);
        assert_eq!(u32_of(&mut rest), masked(length));
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let message = take(&mut rest, length);
        assert_eq!(u32_of(&mut rest), masked(message));
        let mut event = Event::default();
        for (field, content) in fields(message) {
            match field {
                1 => event.wall_time = f64::from_le_bytes(content.try_into().unwrap()),
                2 => event.step = u64::from_le_bytes(content.try_into().unwrap()),
                3 => event.file_version = Some(String::from_utf8(content).unwrap()),
                5 => {
                    for (field, content) in fields(&content) {
                        assert_eq!(field, 1);
                        event.scalars.push(value(&content));
                    }
                }
                7 => {
                    let status = fields(&content);
                    event.started = status == [(1, 1_u64.to_le_bytes().to_vec())];
                }
                other => panic!("field {other} of an event"),
            }
        }
        events.push(event);
    }
    events
}

#[test]
fn the_first_record_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let events = EventFile::create(folder.path()).unwrap();
    let bytes = fs::read(events.path()).unwrap();
    // Event: 09 f64 · 10 00 · 1a 0d "brain.Event:2": 9 + 2 + 15 bytes.
    assert_eq!(bytes.len(), 8 + 4 + 26 + 4);
    assert_eq!(bytes[..8], [26, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[12], 0x09);
    assert_eq!(bytes[21..23], [0x10, 0x00]);
    assert_eq!(&bytes[23..38], b"\x1a\x0dbrain.Event:2");
    // The length's checksum, which every such file of any writer begins with.
    assert_eq!(bytes[8..12], masked(&bytes[..8]).to_le_bytes());
}

#[test]
fn the_reader_knows_the_check_value() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn scalars_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = EventFile::create(folder.path()).unwrap();
    let begin = fs::read(events.path()).unwrap().len();
    events.scalars(300, &[("a", 1.0)]).unwrap();
    let bytes = fs::read(events.path()).unwrap();
    // 300 = 0b10_0101100; the summary is one value of 8 bytes: tag "a" (3), 1.0f32 (5).
    let record = &bytes[begin + 12 + 9..bytes.len() - 4];
    let expected = b"\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01a\x15\x00\x00\x80\x3f";
    assert_eq!(record, expected);
}

#[test]
fn records_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("curves");
    let mut events = EventFile::create(&runs).unwrap();
    let learned = StepRecord {
        extra: [("margin".to_owned(), 0.125)].into(),
        ..step(200)
    };
    events.record(&Record::Step(learned)).unwrap();
    events
        .record(&event(200, RunEvent::OutOfMemory { chunk: 8 }))
        .unwrap();
    events.record(&Record::Validation(validation(200))).unwrap();

    let [first, step, validation] = &read(events.path())[..] else {
        panic!("three events");
    };
    assert_eq!(first.file_version.as_deref(), Some("brain.Event:2"));
    assert!(first.wall_time > 1.7e9 && step.wall_time >= first.wall_time);
    assert_eq!((step.step, validation.step), (200, 200));
    let of = |tag: &str| {
        let found = step.scalars.iter().find(|(name, _)| name == tag);
        found.unwrap_or_else(|| panic!("{tag}")).1
    };
    assert_eq!(of("train/loss"), 0.02);
    assert_eq!(of("train/learning_rate"), 1.5e-5);
    assert_eq!(of("train/margin"), 0.125);
    assert_eq!(of("speed/audio_seconds_per_s"), 320.0);
    let best = ("validation/clotho/t2a_r10".to_owned(), 0.75);
    assert!(validation.scalars.contains(&best));
}

#[test]
fn a_resumed_run_voids_the_steps_it_makes_again() {
    let folder = tempfile::tempdir().unwrap();
    let events = EventFile::resume(folder.path(), 41).unwrap();
    let read = read(events.path());
    assert_eq!(read[0].file_version.as_deref(), Some("brain.Event:2"));
    assert!(read[1].started);
    assert_eq!(read[1].step, 42);
}

#[test]
fn names_tell_when_where_and_who_and_never_collide() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..3)
        .map(|_| {
            let events = EventFile::create(folder.path()).unwrap();
            let name = events.path().file_name().unwrap();
            name.to_str().unwrap().to_owned()
        })
        .collect();
    for name in &names {
        let rest = name.strip_prefix("events.out.tfevents.").unwrap();
        let (unix, rest) = rest.split_once('.').unwrap();
        assert!(unix.parse::<u64>().unwrap() > 1_700_000_000);
        let (_, number) = rest.rsplit_once('.').unwrap();
        number.parse::<u64>().unwrap();
        let pid = format!(".{}.{number}", std::process::id());
        assert!(rest.ends_with(&pid), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}
