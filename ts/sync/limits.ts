/** How long messages are, and what is in them: docs/protocol.md. */

/** The longest message in the binary form. */
export const MESSAGE_BYTES_MAX: number = 2 ** 20 + 2 ** 16;
/** The longest message in the text form, in units of UTF-16, and on a stream in bytes of UTF-8. */
export const TEXT_LENGTH_MAX: number = 2 ** 23;

/** The longest frame that a message carries: its other fields never take more than what is left. */
export const FRAME_BYTES_MAX: number = MESSAGE_BYTES_MAX - 64;
export const ROOM_BYTES_MAX = 64;
export const TOKEN_BYTES_MAX: number = 2 ** 13;
export const PRESENCE_BYTES_MAX: number = 2 ** 12;
export const VECTOR_PIECE_BYTES_MAX: number = 2 ** 18;
export const ADDRESS_BYTES_MAX = 256;
/** The most addresses of others in one message. */
export const ADDRESSES_MAX = 64;
export const FAILURE_CODE_BYTES_MAX = 64;
export const FAILURE_MESSAGE_BYTES_MAX: number = 2 ** 12;

/** The most ranges in one message. */
export const RANGES_MAX = 4096;
/** The most hashes in one message, over all its ranges. */
export const HASHES_MAX: number = 2 ** 15;
/** Of each of sixteen children a count of at most 5 bytes, and a sum. */
export const FINGERPRINTS_BYTES_MAX: number = 16 * RANGES_MAX * (5 + 8);
