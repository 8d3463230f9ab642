//! A writer of small MMDB files: all data in tests is made by the tests.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A value of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(&'static str),
    Double(f64),
    Float(f32),
    Short(u16),
    Unsigned(u32),
    Long(u64),
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

/// Networks of a file with the record of each. IPv4 networks lie under `::/96`.
pub struct Writer {
    nodes: Vec<[Link; 2]>,
    records: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq)]
enum Link {
    Nothing,
    Node(usize),
    Record(usize),
}

/// Seconds since the epoch at which all files of this writer were built.
pub const BUILD_EPOCH: u64 = 1_767_225_600;

impl Writer {
    pub fn new() -> Self {
        Self { nodes: vec![[Link::Nothing; 2]], records: Vec::new() }
    }

    /// Adds a network, the wider before the narrower.
    pub fn add(&mut self, network: &str, record: Value) -> &mut Self {
        let (address, bits) = network.split_once('/').expect("address/bits");
        let bits: usize = bits.parse().expect("bits");
        let (address, bits) = match address.parse().expect("an address") {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), bits + 96),
            IpAddr::V6(v6) => (u128::from(v6), bits),
        };
        let record = match self.records.iter().position(|own| *own == record) {
            Some(index) => index,
            None => {
                self.records.push(record);
                self.records.len() - 1
            }
        };
        let mut node = 0;
        for depth in 0..bits {
            let side = (address >> (127 - depth)) as usize & 1;
            if depth + 1 == bits {
                self.nodes[node][side] = Link::Record(record);
                break;
            }
            node = match self.nodes[node][side] {
                Link::Node(next) => next,
                // What was said of the wider network stays true of its other half.
                other => {
                    self.nodes.push([other; 2]);
                    self.nodes[node][side] = Link::Node(self.nodes.len() - 1);
                    self.nodes.len() - 1
                }
            };
        }
        self
    }

    /// The file, with records of 24, 28 or 32 bits.
    pub fn bytes(&self, record_bits: u32, kind: &'static str) -> Vec<u8> {
        let mut data = Vec::new();
        let offsets: Vec<usize> = self
            .records
            .iter()
            .map(|record| {
                let offset = data.len();
                write(record, &mut data);
                offset
            })
            .collect();
        let n_nodes = self.nodes.len();
        let number = |link: Link| match link {
            Link::Nothing => n_nodes,
            Link::Node(node) => node,
            Link::Record(record) => n_nodes + 16 + offsets[record],
        } as u32;
        let mut file = Vec::new();
        for [left, right] in &self.nodes {
            let (left, right) = (number(*left).to_be_bytes(), number(*right).to_be_bytes());
            match record_bits {
                24 => file.extend([&left[1..], &right[1..]].concat()),
                28 => {
                    file.extend(&left[1..]);
                    file.push(left[0] << 4 | right[0]);
                    file.extend(&right[1..]);
                }
                _ => file.extend([left, right].concat()),
            }
        }
        file.extend([0; 16]);
        file.extend(data);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        let metadata = BTreeMap::from([
            ("binary_format_major_version", Value::Short(2)),
            ("binary_format_minor_version", Value::Short(0)),
            ("build_epoch", Value::Long(BUILD_EPOCH)),
            ("database_type", Value::Text(kind)),
            ("description", Value::Map(Vec::new())),
            ("ip_version", Value::Short(6)),
            ("languages", Value::List(Vec::new())),
            ("node_count", Value::Unsigned(n_nodes as u32)),
            ("record_size", Value::Short(record_bits as u16)),
        ]);
        write(&Value::Map(metadata.into_iter().collect()), &mut file);
        file
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => write_text(text, out),
        Value::Double(number) => {
            control(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Float(number) => {
            control(15, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::Short(number) => write_number(5, &number.to_be_bytes(), out),
        Value::Unsigned(number) => write_number(6, &number.to_be_bytes(), out),
        Value::Long(number) => write_number(9, &number.to_be_bytes(), out),
        Value::Map(entries) => {
            control(7, entries.len(), out);
            for (key, value) in entries {
                write_text(key, out);
                write(value, out);
            }
        }
        Value::List(values) => {
            control(11, values.len(), out);
            values.iter().for_each(|value| write(value, out));
        }
    }
}

/// Without the zeros before it.
fn write_number(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    control(kind, bytes.len() - zeros, out);
    out.extend(&bytes[zeros..]);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    control(2, text.len(), out);
    out.extend(text.as_bytes());
}

/// Type and size before a value; types above 7 take a second byte.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (short, more): (u8, &[u8]) = match size {
        0..29 => (size as u8, &[]),
        _ => (29, &[(size - 29) as u8]),
    };
    assert!(size < 29 + 256, "a text is too long for this writer");
    match kind {
        0..8 => out.push(kind << 5 | short),
        _ => out.extend([short, kind - 7]),
    }
    out.extend(more);
}
