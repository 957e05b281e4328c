// Drives a sensor of temperature and humidity: 0x2a, two numbers of 16 bits, the sum of the four bytes.

const LENGTH = 6;

export const driver = {
  request: () => Uint8Array.of(0x2a, 0x01),
  decode(frame) {
    if (frame.length < LENGTH) throw { tag: "incomplete", val: LENGTH - frame.length };
    const [start, ...rest] = frame;
    if (start === 0xff) throw { tag: "device", val: rest[0] };
    const sum = rest.slice(0, 4).reduce((total, byte) => total + byte, 0) & 0xff;
    if (start !== 0x2a || sum !== rest[4]) throw { tag: "corrupt" };
    const word = (at) => (rest[at] << 8) | rest[at + 1];
    return [
      { quantity: "temperature", value: word(0) / 10 - 100, unit: "Cel" },
      { quantity: "humidity", value: word(2) / 10, unit: "%" },
    ];
  },
};
