//! The multicodec prefix of payloads: read and compared, never acted on.

/// Codecs that every receiver is taken to know unless it says what it accepts.
pub const KNOWN: &[u64] = &[0x51, 0x0200, 0x0201, 0x55, 0x50, 0x0701];

/// The codec that `payload` begins with.
///
/// # Errors
/// Says why there is none.
pub fn read(payload: &[u8]) -> Result<u64, &'static str> {
    let mut value = 0_u64;
    for (position, byte) in payload.iter().enumerate() {
        if position == 9 {
            return Err("the codec prefix is longer than 9 bytes");
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            if *byte == 0 && position > 0 {
                return Err("the codec prefix is not in its shortest form");
            }
            if value == 0 {
                return Err(
                    "0 is no codec; a payload begins with its multicodec number as a varint",
                );
            }
            return Ok(value);
        }
    }
    Err(if payload.is_empty() {
        "the payload is empty; it begins with its multicodec number as a varint"
    } else {
        "the codec prefix is cut off"
    })
}

/// Whether a receiver that accepts `accepted` (none: what is [`KNOWN`]) takes `codec`.
#[must_use]
pub fn accepts(accepted: &[u64], codec: u64) -> bool {
    if accepted.is_empty() {
        KNOWN.contains(&codec)
    } else {
        accepted.contains(&codec)
    }
}

/// The codecs that both a deployment and its component take; none of either means any.
///
/// # Errors
/// Says that there are none.
pub fn agree(deployment: &[u64], component: &[u64]) -> Result<Vec<u64>, String> {
    if deployment.is_empty() || component.is_empty() {
        return Ok([deployment, component].concat());
    }
    let both: Vec<u64> = deployment
        .iter()
        .copied()
        .filter(|codec| component.contains(codec))
        .collect();
    if both.is_empty() {
        return Err(format!(
            "the deployment accepts {} and the component understands {}: nothing could be sent to it",
            names(deployment),
            names(component)
        ));
    }
    Ok(both)
}

fn names(codecs: &[u64]) -> String {
    let names: Vec<String> = codecs
        .iter()
        .map(|codec| match codec {
            0x51 => "cbor".to_owned(),
            0x0200 => "json".to_owned(),
            0x0201 => "messagepack".to_owned(),
            0x55 => "raw".to_owned(),
            0x50 => "protobuf".to_owned(),
            0x0701 => "borsh".to_owned(),
            other => format!("{other:#x}"),
        })
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_varints_in_their_shortest_form() {
        assert_eq!(read(b"\x51\xa0"), Ok(0x51));
        assert_eq!(read(b"\x80\x04{}"), Ok(0x0200));
        assert_eq!(read(b"\x81\x04"), Ok(0x0201));
        assert_eq!(read(b"\x81\x0e"), Ok(0x0701));
        for bad in [&b""[..], b"\x80", b"\xd1\x00", b"\x00", &[0xff; 12]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_receiver_without_a_list_takes_what_is_known() {
        assert!(accepts(&[], 0x55));
        assert!(!accepts(&[], 0x99));
        assert!(accepts(&[0x99], 0x99));
        assert!(!accepts(&[0x99], 0x55));
    }

    #[test]
    fn what_both_take_is_taken() {
        assert_eq!(agree(&[], &[]), Ok(vec![]));
        assert_eq!(agree(&[0x55], &[]), Ok(vec![0x55]));
        assert_eq!(agree(&[], &[0x0200]), Ok(vec![0x0200]));
        assert_eq!(agree(&[0x51, 0x0200], &[0x0200, 0x55]), Ok(vec![0x0200]));
        let refused = agree(&[0x51], &[0x0200, 0x99]).unwrap_err();
        assert!(refused.contains("accepts cbor") && refused.contains("json, 0x99"));
    }
}
