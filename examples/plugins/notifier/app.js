// Sends what is urgent at once and what is not by the channel's own way; leaves what is of low urgency to others.

import * as channel from "plugin:notifier/channel@1.0.0";

export const notify = {
  deliver({ recipient, urgency, title, text }) {
    if (urgency === "low") return null;
    const head = urgency === "high" ? `! ${title}` : title;
    try {
      return channel.send(recipient, `${head}\n${text}`);
    } catch (error) {
      throw `the channel did not take it: ${error.payload}`;
    }
  },
};
