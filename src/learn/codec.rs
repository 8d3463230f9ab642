//! State as bytes: integers in as few as they need, little-endian base 128.

/// What can be written to a block and read back.
pub(super) trait Coded: Sized {
    /// Appends it.
    fn encode(&self, out: &mut Vec<u8>);
    /// Takes it off; `None` when the bytes make no sense.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;
}

impl Coded for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

macro_rules! coded_as_u64 {
    ($($type:ty),*) => {$(
        impl Coded for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                (*self as u64).encode(out);
            }

            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                Self::try_from(u64::decode(bytes)?).ok()
            }
        }
    )*};
}

coded_as_u64!(u8, u32, usize);

/// Zigzag: small negative numbers are short too.
impl Coded for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        ((self << 1) ^ (self >> 63)).cast_unsigned().encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let raw = u64::decode(bytes)?;
        Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }
}

impl Coded for i32 {
    fn encode(&self, out: &mut Vec<u8>) {
        i64::from(*self).encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Self::try_from(i64::decode(bytes)?).ok()
    }
}

impl Coded for f64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.to_bits().to_le_bytes());
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(Self::from_bits(u64::from_le_bytes(*head)))
    }
}

impl Coded for f32 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.to_bits().to_le_bytes());
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(Self::from_bits(u32::from_le_bytes(*head)))
    }
}

impl Coded for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some(u8::decode(bytes)? != 0)
    }
}

impl<T: Coded> Coded for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        match bool::decode(bytes)? {
            true => T::decode(bytes).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Coded> Coded for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.len().encode(out);
        self.iter().for_each(|item| item.encode(out));
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let n_items = usize::decode(bytes)?;
        // Every item takes a byte at least: a damaged length asks for no more memory than there is.
        let mut items = Self::with_capacity(n_items.min(bytes.len()));
        for _ in 0..n_items {
            items.push(T::decode(bytes)?);
        }
        Some(items)
    }
}

impl Coded for Box<[u8]> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.len().encode(out);
        out.extend_from_slice(self);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let n_bytes = usize::decode(bytes)?;
        let (head, rest) = bytes.split_at_checked(n_bytes)?;
        *bytes = rest;
        Some(head.into())
    }
}

impl<T: Coded, const N: usize> Coded for [T; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|item| item.encode(out));
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut items = Vec::with_capacity(N);
        for _ in 0..N {
            items.push(T::decode(bytes)?);
        }
        items.try_into().ok()
    }
}

impl<A: Coded, B: Coded> Coded for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::decode(bytes)?, B::decode(bytes)?))
    }
}

/// Implements [`Coded`] for a struct, field by field.
macro_rules! coded_struct {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::learn::codec::Coded for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                $($crate::learn::codec::Coded::encode(&self.$field, out);)*
            }

            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::learn::codec::Coded::decode(bytes)?,)* })
            }
        }
    };
}

pub(super) use coded_struct;

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<T: Coded + PartialEq + std::fmt::Debug>(value: &T) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(T::decode(&mut rest).as_ref(), Some(value));
        assert!(rest.is_empty());
        for n in 0..bytes.len() {
            assert!(T::decode(&mut &bytes[..n]).is_none(), "{value:?} from {n} bytes");
        }
    }

    #[test]
    fn values_come_back_and_pieces_do_not() {
        [0, 1, 127, 128, u64::MAX].iter().for_each(comes_back);
        [0, -1, 1, i64::MIN, i64::MAX].iter().for_each(comes_back);
        comes_back(&vec![(Some(7_u32), 0.25), (None, f64::MIN_POSITIVE)]);
        comes_back(&[i32::MIN, i32::MAX]);
        comes_back(&Box::<[u8]>::from(&b"name"[..]));
    }

    #[test]
    fn a_length_that_lies_asks_for_no_memory() {
        let mut bytes = Vec::new();
        (u64::MAX >> 8).encode(&mut bytes);
        assert!(Vec::<u64>::decode(&mut bytes.as_slice()).is_none());
        assert!(Box::<[u8]>::decode(&mut bytes.as_slice()).is_none());
        assert!(u8::decode(&mut [0x80, 0x02].as_slice()).is_none());
    }
}
