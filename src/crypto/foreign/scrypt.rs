//! scrypt (RFC 7914) in the encodings of passlib and PHC (`$scrypt$ln=16,r=8,p=1$`), Django and Werkzeug.

use super::effort::{Effort, Way};
use super::text::{base64, hex, number};
use super::{HashProblem, MOST_MEMORY_KIB, at_most, same};

const KIND: &str = "scrypt";

/// KiB mixed in all, for every lane: four times over the most memory.
const MOST_WORK_KIB: u64 = 4 * MOST_MEMORY_KIB as u64;

/// A scrypt hash, read.
pub struct Scrypt {
    params: ::scrypt::Params,
    /// KiB mixed in all its lanes.
    work_kib: u64,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Scrypt {
    /// `None` when it is of another kind.
    pub fn parse(text: &str) -> Option<Result<Self, HashProblem>> {
        if let Some(rest) = text.strip_prefix("$scrypt$") {
            return Some(modular(rest));
        }
        if let Some(rest) = text.strip_prefix("scrypt:") {
            return Some(werkzeug(rest));
        }
        text.strip_prefix("scrypt$").map(django)
    }

    /// The memory mixed in all its lanes.
    pub fn effort(&self) -> Effort {
        Effort::new(Way::Scrypt, self.work_kib)
    }

    /// Whether this is the password.
    pub fn is(&self, password: &[u8]) -> bool {
        same(&self.output, |output| {
            ::scrypt::scrypt(password, &self.salt, &self.params, output).is_ok()
        })
    }
}

const fn malformed(why: &'static str) -> HashProblem {
    HashProblem::Malformed { kind: KIND, why }
}

const PARTS: HashProblem = malformed("it has not the parts it should have");
const PARAMETERS: HashProblem = malformed("its parameters are not those of scrypt");

/// `ln=16,r=8,p=1$SALT$OUTPUT`.
fn modular(rest: &str) -> Result<Scrypt, HashProblem> {
    let [parameters, salt, output] = parts(rest, '$')?;
    let [ln, r, p] = parts(parameters, ',')?;
    let value = |pair: &str, name| pair.strip_prefix(name).and_then(number).ok_or(PARAMETERS);
    let cost = (value(ln, "ln=")?, value(r, "r=")?, value(p, "p=")?);
    checked(cost, base64(salt), base64(output))
}

/// `N:r:p$SALT$OUTPUT`, the salt as it is, the output in hexadecimal.
fn werkzeug(rest: &str) -> Result<Scrypt, HashProblem> {
    let [parameters, salt, output] = parts(rest, '$')?;
    let [n, r, p] = parts(parameters, ':')?;
    checked(cost(n, r, p)?, Some(salt.as_bytes().to_vec()), hex(output))
}

/// `N$SALT$r$p$OUTPUT`, the salt as it is.
fn django(rest: &str) -> Result<Scrypt, HashProblem> {
    let [n, salt, r, p, output] = parts(rest, '$')?;
    checked(cost(n, r, p)?, Some(salt.as_bytes().to_vec()), base64(output))
}

fn parts<const N: usize>(text: &str, by: char) -> Result<[&str; N], HashProblem> {
    text.split(by).collect::<Vec<_>>().try_into().map_err(|_| PARTS)
}

fn cost(n: &str, r: &str, p: &str) -> Result<(u32, u32, u32), HashProblem> {
    let n = number(n).filter(|n| n.is_power_of_two()).ok_or(PARAMETERS)?;
    Ok((n.ilog2(), number(r).ok_or(PARAMETERS)?, number(p).ok_or(PARAMETERS)?))
}

fn checked((ln, r, p): (u32, u32, u32), salt: Option<Vec<u8>>, output: Option<Vec<u8>>) -> Result<Scrypt, HashProblem> {
    if ln == 0 || r == 0 || p == 0 {
        return Err(PARAMETERS);
    }
    // Each beyond this is beyond the memory too, and their product then fits.
    at_most(KIND, "as its cost ln", ln.into(), 20)?;
    at_most(KIND, "as its block size r", r.into(), 1024)?;
    at_most(KIND, "lanes", p.into(), 16)?;
    let memory_kib = (u64::from(r) << ln).div_ceil(8);
    at_most(KIND, "KiB of memory", memory_kib, MOST_MEMORY_KIB.into())?;
    let work_kib = memory_kib * u64::from(p);
    at_most(KIND, "KiB to mix in all its lanes", work_kib, MOST_WORK_KIB)?;
    let params = u8::try_from(ln)
        .ok()
        .and_then(|ln| ::scrypt::Params::new(ln, r, p).ok())
        .ok_or(PARAMETERS)?;
    let undecodable = malformed("its salt or digest cannot be decoded");
    let (salt, output) = (salt.ok_or(undecodable)?, output.ok_or(undecodable)?);
    if !(16..=64).contains(&output.len()) || !(1..=64).contains(&salt.len()) {
        return Err(malformed("its salt or digest has an odd length"));
    }
    Ok(Scrypt {
        params,
        work_kib,
        salt,
        output,
    })
}
