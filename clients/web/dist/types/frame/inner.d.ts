/** In the inner frame, beside the user's code: shows what it is sent, and reports heights and errors. */
export {};
