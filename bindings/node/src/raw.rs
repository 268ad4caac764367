//! The calls made once for each key or each live write: raw callbacks, because what `#[napi]` does around a call (130 ns, see
//! docs/decisions/0002-*.md) would cost more than the work. Those for a key take the handle, the key, the value, and the time in
//! milliseconds; the others what all other calls take.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;

use lastwrite_core::host::{Answer, Host, Request, integer, key, written};
use lastwrite_core::{Result, Value, decode_number, encode_number, value};
use napi::sys::{self, ValueType};

use crate::addon::{self, Addon};

/// Longer than any key by more than a character, so that a key that was cut is still too long.
const KEY_BUFFER_BYTES: usize = 1024 + 16;
/// Longer texts are measured first.
const TEXT_BUFFER_BYTES: usize = 4096;

/// Adds the callbacks to the exports.
pub fn register(env: sys::napi_env, exports: sys::napi_value) -> bool {
    let callbacks: [(&CStr, sys::napi_callback); 7] = [
        (c"getPlain", Some(get)),
        (c"setPlain", Some(set)),
        (c"has", Some(has)),
        (c"delete", Some(delete)),
        (c"merge", Some(merge)),
        (c"version", Some(version)),
        (c"delta", Some(delta)),
    ];
    callbacks.into_iter().all(|(name, callback)| {
        let mut function = ptr::null_mut();
        // SAFETY: `env` and `exports` are those of the addon being loaded; the name ends in NUL; the pointer is to a live variable.
        unsafe {
            sys::napi_create_function(
                env,
                name.as_ptr(),
                -1,
                callback,
                ptr::null_mut(),
                &raw mut function,
            ) == sys::Status::napi_ok
                && sys::napi_set_named_property(env, exports, name.as_ptr(), function)
                    == sys::Status::napi_ok
        }
    })
}

/// Answers a plain value, or for what is none a bigint: the length of canonical bytes on the desk, or below 0 an error.
unsafe extern "C" fn get(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: these are the arguments of the running callback.
    let Some((call, addon)) = (unsafe { Call::<2>::begin(env, info) }) else {
        return ptr::null_mut();
    };
    // Null becomes undefined.
    let mut plain = ptr::null_mut();
    let handle = call.unsigned(0);
    let number = addon.call(handle, |host, desk| {
        let mut key = Text::new();
        let key = call.key(&mut key)?;
        match host.dictionary(handle)?.get(key) {
            None => Ok(Answer::Number(0.0)),
            Some(value) if value.tag > value::TEXT => {
                host.get(&Request { handle, desk, input: key.as_bytes() })
            }
            Some(value) => {
                plain = call.plain(value);
                Ok(Answer::Number(0.0))
            }
        }
    });
    if number == 0.0 { plain } else { call.bigint(number) }
}

/// Answers the bits of the contract, or below 0 an error. Takes plain values only.
unsafe extern "C" fn set(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: these are the arguments of the running callback.
    let Some((call, addon)) = (unsafe { Call::<4>::begin(env, info) }) else {
        return ptr::null_mut();
    };
    let handle = call.unsigned(0);
    let number = addon.call(handle, |host, _| {
        let (mut key, mut text, mut number) = (Text::new(), Text::new(), [0; 8]);
        let value = call.value(&mut text, &mut number);
        host.dictionary(handle)?
            .set(call.key(&mut key)?, value, integer(call.double(3)))
            .map(written)
    });
    call.number(number)
}

/// Answers 1 or 0, or below 0 an error.
unsafe extern "C" fn has(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: these are the arguments of the running callback.
    let Some((call, addon)) = (unsafe { Call::<2>::begin(env, info) }) else {
        return ptr::null_mut();
    };
    let handle = call.unsigned(0);
    let number = addon.call(handle, |host, _| {
        let has = host.dictionary(handle)?.has(call.key(&mut Text::new())?);
        Ok(Answer::Number(f64::from(u8::from(has))))
    });
    call.number(number)
}

/// Answers as `set`.
unsafe extern "C" fn delete(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: these are the arguments of the running callback.
    let Some((call, addon)) = (unsafe { Call::<3>::begin(env, info) }) else {
        return ptr::null_mut();
    };
    let handle = call.unsigned(0);
    let number = addon.call(handle, |host, _| {
        host.dictionary(handle)?
            .delete(call.key(&mut Text::new())?, integer(call.double(2)))
            .map(written)
    });
    call.number(number)
}

macro_rules! callbacks {
    ($($name:ident)*) => {$(
        #[doc = concat!("See [`Host::", stringify!($name), "`].")]
        unsafe extern "C" fn $name(
            env: sys::napi_env,
            info: sys::napi_callback_info,
        ) -> sys::napi_value {
            // SAFETY: these are the arguments of the running callback.
            unsafe { pass(env, info, Host::$name) }
        }
    )*};
}

callbacks! { merge version delta }

/// # Safety
///
/// `env` and `info` must be those of the running callback, and this the only use of `info`.
#[inline]
unsafe fn pass(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    body: impl FnOnce(&mut Host, &Request<'_>) -> Result<Answer>,
) -> sys::napi_value {
    // SAFETY: as the caller promised.
    let Some((call, addon)) = (unsafe { Call::<3>::begin(env, info) }) else {
        return ptr::null_mut();
    };
    let handle = call.unsigned(0);
    let number = addon.call(handle, |host, desk| {
        let input = call.long().unwrap_or_else(|| &desk.body[..call.unsigned(1) as usize]);
        body(host, &Request { handle, desk, input })
    });
    call.number(number)
}

/// The arguments of a callback. What is not of its type counts as 0 or as empty: ts/engine/native.ts passes the right ones.
struct Call<const N: usize> {
    env: sys::napi_env,
    arguments: [sys::napi_value; N],
}

impl<const N: usize> Call<N> {
    /// # Safety
    ///
    /// `env` and `info` must be those of the running callback, and this the only use of `info`.
    #[inline]
    unsafe fn begin<'a>(
        env: sys::napi_env,
        info: sys::napi_callback_info,
    ) -> Option<(Self, &'a mut Addon)> {
        let mut arguments = [ptr::null_mut(); N];
        let mut count = N;
        let (this, data) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: there is room for `count` arguments, which Node fills up with undefined.
        unsafe {
            sys::napi_get_cb_info(env, info, &raw mut count, arguments.as_mut_ptr(), this, data)
        };
        // SAFETY: as the caller promised.
        Some((Self { env, arguments }, unsafe { addon::of(env) }?))
    }

    #[inline]
    fn unsigned(&self, index: usize) -> u32 {
        let mut number = 0;
        // SAFETY: the value is an argument of this callback, the pointer is to a live variable.
        unsafe { sys::napi_get_value_uint32(self.env, self.arguments[index], &raw mut number) };
        number
    }

    /// The bytes of an argument that did not fit on the desk.
    #[inline]
    fn long(&self) -> Option<&[u8]> {
        let (mut length, mut data) = (0, ptr::null_mut());
        let (kind, buffer, offset) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the value is an argument of this callback, the pointers are to live variables or null, which Node skips.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.env,
                self.arguments[2],
                kind,
                &raw mut length,
                &raw mut data,
                buffer,
                offset,
            )
        };
        if status != sys::Status::napi_ok || data.is_null() {
            return None;
        }
        // SAFETY: Node says that so many bytes are there (ts/engine/native.ts passes no array but of bytes, of no shared memory),
        // and JavaScript, which alone could change them, waits.
        Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) })
    }

    #[inline]
    fn double(&self, index: usize) -> f64 {
        let mut number = 0.0;
        // SAFETY: the value is an argument of this callback, the pointer is to a live variable.
        unsafe { sys::napi_get_value_double(self.env, self.arguments[index], &raw mut number) };
        number
    }

    #[inline]
    fn key<'a>(&self, text: &'a mut Text<KEY_BUFFER_BYTES>) -> Result<&'a str> {
        let length = text.read(self.env, self.arguments[1]);
        key(text.short(length))
    }

    #[inline]
    fn value<'a>(
        &self,
        text: &'a mut Text<TEXT_BUFFER_BYTES>,
        number: &'a mut [u8; 8],
    ) -> Value<'a> {
        let mut kind = ValueType::napi_undefined;
        // SAFETY: the value is an argument of this callback, the pointer is to a live variable.
        unsafe { sys::napi_typeof(self.env, self.arguments[2], &raw mut kind) };
        match kind {
            ValueType::napi_string => {
                let length = text.read(self.env, self.arguments[2]);
                // Node writes whole characters of UTF-8, so that the last three bytes may stay free.
                let whole = length < TEXT_BUFFER_BYTES - 4;
                Value {
                    tag: value::TEXT,
                    payload: if whole {
                        text.short(length)
                    } else {
                        text.whole(self.env, self.arguments[2])
                    },
                }
            }
            ValueType::napi_number => encode_number(self.double(2), number),
            ValueType::napi_boolean => {
                let mut boolean = false;
                // SAFETY: the value is an argument of this callback, the pointer is to a live variable.
                unsafe { sys::napi_get_value_bool(self.env, self.arguments[2], &raw mut boolean) };
                Value { tag: if boolean { value::TRUE } else { value::FALSE }, payload: &[] }
            }
            _ => Value { tag: value::NULL, payload: &[] },
        }
    }

    /// A value of tag 1 to 6 as JavaScript has it.
    #[inline]
    fn plain(&self, value: Value<'_>) -> sys::napi_value {
        let mut made = ptr::null_mut();
        // SAFETY: the pointers are to live variables, and the text is as long as is said.
        unsafe {
            match value.tag {
                value::NULL => sys::napi_get_null(self.env, &raw mut made),
                value::FALSE | value::TRUE => {
                    sys::napi_get_boolean(self.env, value.tag == value::TRUE, &raw mut made)
                }
                value::TEXT => {
                    // Node copies one byte a character when it knows that this is enough.
                    let create = if value.payload.is_ascii() {
                        sys::napi_create_string_latin1
                    } else {
                        sys::napi_create_string_utf8
                    };
                    create(
                        self.env,
                        value.payload.as_ptr().cast(),
                        value.payload.len().cast_signed(),
                        &raw mut made,
                    )
                }
                _ => sys::napi_create_double(
                    self.env,
                    decode_number(&value).unwrap_or(f64::NAN),
                    &raw mut made,
                ),
            }
        };
        made
    }

    #[inline]
    fn number(&self, number: f64) -> sys::napi_value {
        let mut made = ptr::null_mut();
        // SAFETY: the pointer is to a live variable.
        unsafe { sys::napi_create_double(self.env, number, &raw mut made) };
        made
    }

    #[expect(clippy::cast_possible_truncation, reason = "lengths and error numbers are integers")]
    fn bigint(&self, number: f64) -> sys::napi_value {
        let mut made = ptr::null_mut();
        // SAFETY: the pointer is to a live variable.
        unsafe { sys::napi_create_bigint_int64(self.env, number as i64, &raw mut made) };
        made
    }
}

/// Room for the UTF-8 of a string, on the stack while it is short.
struct Text<const N: usize> {
    short: MaybeUninit<[u8; N]>,
    long: Vec<u8>,
}

impl<const N: usize> Text<N> {
    #[inline]
    const fn new() -> Self {
        Self { short: MaybeUninit::uninit(), long: Vec::new() }
    }

    /// Reads what fits, in whole characters, and answers its length.
    #[inline]
    fn read(&mut self, env: sys::napi_env, string: sys::napi_value) -> usize {
        let mut length = 0;
        // SAFETY: the string is an argument of the running callback; Node writes at most N bytes, the last of them NUL.
        unsafe {
            sys::napi_get_value_string_utf8(
                env,
                string,
                self.short.as_mut_ptr().cast(),
                N,
                &raw mut length,
            )
        };
        length
    }

    /// What was read.
    #[inline]
    fn short(&self, length: usize) -> &[u8] {
        // SAFETY: `read` had so many bytes written.
        unsafe { std::slice::from_raw_parts(self.short.as_ptr().cast(), length.min(N)) }
    }

    /// All of the string.
    fn whole(&mut self, env: sys::napi_env, string: sys::napi_value) -> &[u8] {
        let mut length = 0;
        // SAFETY: the string is an argument of the running callback; without a buffer Node only measures.
        unsafe {
            sys::napi_get_value_string_utf8(env, string, ptr::null_mut(), 0, &raw mut length)
        };
        self.long.resize(length + 1, 0);
        // SAFETY: as above; Node writes at most as many bytes as there are, the last of them NUL.
        unsafe {
            sys::napi_get_value_string_utf8(
                env,
                string,
                self.long.as_mut_ptr().cast(),
                length + 1,
                &raw mut length,
            );
        };
        &self.long[..length]
    }
}
