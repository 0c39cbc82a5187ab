//! The device cookie: a device, signed so that nobody can make one known that has never signed in.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::device::Device;

/// How long a device is remembered after a sign-in: as long as browsers keep any cookie.
pub(super) const REMEMBERED_FOR: std::time::Duration = std::time::Duration::from_hours(24 * 400);

/// The longest value that is read, in bytes: a device that knows as many accounts as any may.
const MAX_VALUE: usize = 512;

/// Signs devices and reads what it has signed.
pub(super) struct DeviceSeal {
    key: Zeroizing<[u8; 32]>,
}

impl DeviceSeal {
    /// With the key shared by every process behind the same doors.
    pub(super) const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key }
    }

    /// The cookie's value.
    pub(super) fn write(&self, device: &Device) -> Option<String> {
        let bytes = device.to_bytes();
        let tag = self.mac(&bytes)?.finalize().into_bytes();
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Some(format!("{}.{}", text(&bytes), text(&tag)))
    }

    /// The device in a cookie; `None` for anything that was not signed here, which is as good as no cookie.
    pub(super) fn read(&self, value: &str) -> Option<Device> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let (bytes, tag) = value.split_once('.')?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(bytes).ok()?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        // In constant time.
        self.mac(&bytes)?.verify_slice(&tag).ok()?;
        Device::parse(&bytes)
    }

    fn mac(&self, bytes: &[u8]) -> Option<Hmac<Sha256>> {
        // A key of any length is accepted.
        let mac = Hmac::<Sha256>::new_from_slice(&*self.key).ok()?;
        Some(mac.chain_update(b"device\0").chain_update(bytes))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::domain::account::AccountId;

    use super::*;

    #[test]
    fn a_device_reads_back_under_its_own_key_alone() {
        let seal = DeviceSeal::new(Zeroizing::new([1; 32]));
        let full = (0..40).fold(Device::fresh([7; 32]), |device, number| {
            device.with(AccountId::new(Uuid::from_u128(number)), None)
        });
        let value = seal.write(&full).unwrap();
        assert!(value.len() <= MAX_VALUE, "{}", value.len());
        assert_eq!(seal.read(&value), Some(full));
        assert_eq!(DeviceSeal::new(Zeroizing::new([2; 32])).read(&value), None);
    }

    #[test]
    fn a_changed_device_is_none() {
        let seal = DeviceSeal::new(Zeroizing::new([1; 32]));
        let value = seal.write(&Device::fresh([7; 32])).unwrap();
        for at in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(seal.read(&changed).is_none(), "{changed}");
        }
        for bad in ["", ".", "a.b", &format!("{value}.{value}"), &"A".repeat(4096)] {
            assert_eq!(seal.read(bad), None, "{bad}");
        }
    }
}
